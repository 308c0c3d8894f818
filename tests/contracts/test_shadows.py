"""A name never shadows a module: `import seewhy.nn.normalisation as m` yields a module, whatever a package exports."""

import importlib
import pkgutil
from types import ModuleType

import pytest

import seewhy

PACKAGES = ["seewhy", *(m.name for m in pkgutil.walk_packages(seewhy.__path__, "seewhy.") if m.ispkg)]


def shadowed(package):
    """Return the modules below a package whose place is taken by something else that the package exports or holds."""
    below = {module.name for module in pkgutil.iter_modules(package.__path__)}
    for name in below:
        importlib.import_module(f"{package.__name__}.{name}")
    names = below & {*getattr(package, "__all__", ()), *vars(package)}
    return sorted(name for name in names if not isinstance(getattr(package, name), ModuleType))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_of_a_package_shadows_a_module_below_it(package):
    assert shadowed(importlib.import_module(package)) == []


def test_a_name_that_shadows_is_found(tmp_path, monkeypatch):
    (tmp_path / "toy_shadow").mkdir()
    (tmp_path / "toy_shadow" / "build.py").write_text("def build(): ...\n")
    (tmp_path / "toy_shadow" / "load.py").write_text("")
    (tmp_path / "toy_shadow" / "__init__.py").write_text("from toy_shadow.build import build\n__all__ = ['build']\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert shadowed(importlib.import_module("toy_shadow")) == ["build"]


def test_the_packages_are_those_of_the_house():
    rooms = ("spec", "nn", "optim", "data", "metrics", "reporting", "models", "training", "runs", "cli")
    assert {f"seewhy.{room}" for room in rooms} < set(PACKAGES)
