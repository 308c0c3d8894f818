"""No public name shadows a module, and every record says what does its work."""

import importlib.util
import inspect
import pkgutil

import pytest

from seewhy import optim

RECORDS = [technique for registry in (optim.OPTIMISERS, optim.SCHEDULES, optim.PENALTIES) for technique in registry]


@pytest.mark.parametrize("name", optim.__all__)
def test_no_module_has_the_name_of_what_is_exported(name):
    assert hasattr(optim, name)
    assert importlib.util.find_spec(f"seewhy.optim.{name}") is None


@pytest.mark.parametrize("technique", RECORDS, ids=lambda technique: technique.name)
def test_qualified_names_can_be_imported(technique):
    assert technique.qualified_name.startswith(("seewhy.optim.", "torch.optim."))
    assert callable(pkgutil.resolve_name(technique.qualified_name))


@pytest.mark.parametrize("technique", [*optim.SCHEDULES, *optim.PENALTIES], ids=lambda technique: technique.name)
def test_hyperparameters_are_arguments_of_the_factory(technique):
    assert technique.hyperparameters
    assert set(technique.hyperparameters) <= set(inspect.signature(technique.factory).parameters)
