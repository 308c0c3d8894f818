"""No public name shadows a module, and every record names options that its factory takes."""

import importlib.util
import inspect
import pkgutil

import pytest

from seewhy import nn

REGISTRIES = {
    name: getattr(nn, name)
    for name in ("ACTIVATIONS", "INITS", "NORMS", "NORM_INITS", "OUTPUTS", "POOLINGS", "DROPOUTS", "REGULARISERS")
}
RECORDS = [(family, technique) for family, registry in REGISTRIES.items() for technique in registry]


@pytest.mark.parametrize("name", nn.__all__)
def test_no_module_has_the_name_of_what_is_exported(name):
    assert hasattr(nn, name)
    assert importlib.util.find_spec(f"seewhy.nn.{name}") is None


@pytest.mark.parametrize(("family", "technique"), RECORDS, ids=lambda value: getattr(value, "name", value))
def test_hyperparameters_are_keyword_arguments_of_the_factory(family, technique):
    parameters = inspect.signature(technique.factory).parameters
    assert set(technique.hyperparameters) <= set(parameters)
    if family in ("ACTIVATIONS", "INITS", "NORMS"):
        keywords = {name for name, parameter in parameters.items() if parameter.default is not parameter.empty}
        assert set(technique.hyperparameters) == keywords


@pytest.mark.parametrize(("family", "technique"), RECORDS, ids=lambda value: getattr(value, "name", value))
def test_qualified_names_can_be_imported(family, technique):
    assert technique.qualified_name.startswith(("seewhy.nn.", "torch.nn."))
    assert callable(pkgutil.resolve_name(technique.qualified_name))
