"""The specification is light: help and errors need no torch."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

from seewhy import spec

MODULES = [module.name for module in pkgutil.iter_modules(spec.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_imported_by_its_name(name):
    module = importlib.import_module(f"seewhy.spec.{name}")
    assert module.__doc__
    assert module.__name__ == f"seewhy.spec.{name}"


def test_every_public_name_is_there():
    assert [name for name in spec.__all__ if not hasattr(spec, name)] == []


def test_nothing_heavy_is_imported():
    """A request is made and its options listed in a process of its own."""
    code = (
        "import sys, seewhy.spec; from seewhy.spec.options import all_options; "
        "seewhy.spec.Request.make('digits', {'model': 'vae'}); all_options(); "
        "print(sorted({'torch', 'numpy', 'PIL', 'altair'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
