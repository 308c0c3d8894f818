"""The names in the specification are those of the registries, and every record is complete."""

import importlib
import json
import pkgutil
import shlex

import pytest

from seewhy import data, models, nn, optim
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.latent.coders import CODERS
from seewhy.models.latent.outputs import DISTRIBUTIONS
from seewhy.optim.penalties import PENALTIES
from seewhy.training.ensemble.techniques import ENSEMBLES
from seewhy.training.spec import make_spec, names_of, sections
from seewhy.training.spec.defaults import OPTIM_DEFAULTS, Facts, resolve, resolve_budget

FAMILIES = [
    (sections.CoderName, CODERS),
    (sections.OutputName, DISTRIBUTIONS),
    (sections.AdversarialName, LOSSES),
    (sections.ActivationName, nn.ACTIVATIONS),
    (sections.InitName, nn.INITS),
    (sections.NormName, nn.NORMS),
    (sections.NormInitName, nn.NORM_INITS),
    (sections.OptimName, optim.OPTIMISERS),
    (sections.DropoutName, nn.DROPOUTS),
    (sections.PoolName, nn.POOLINGS),
    (sections.ScheduleName, optim.SCHEDULES),
]
REGISTRIES = [models.MODELS, models.GENERATORS, *(registry for _, registry in FAMILIES)]


def test_networks_are_recognisers_and_generators():
    assert sorted(names_of(sections.ModelName)) == sorted([*models.MODELS.names(), *models.GENERATORS.names()])
    assert sorted(sections.GENERATORS) == sorted(models.GENERATORS.names())


@pytest.mark.parametrize(("names", "registry"), FAMILIES, ids=[registry.family for _, registry in FAMILIES])
def test_names_are_the_registrys(names, registry):
    assert sorted(names_of(names)) == sorted(registry.names())


@pytest.mark.parametrize(
    "technique", [technique for registry in REGISTRIES for technique in registry], ids=lambda t: t.name
)
def test_records_are_complete(technique):
    assert technique.summary
    assert technique.formula
    assert technique.source
    assert technique.good_for or technique.name == "none"
    assert technique.lives_in.startswith(("seewhy.", "torch."))
    importlib.import_module(technique.factory.__module__)


EVERY = [*REGISTRIES, nn.OUTPUTS, nn.REGULARISERS, PENALTIES, data.AUGMENTATIONS, ENSEMBLES]


@pytest.mark.parametrize("technique", [technique for registry in EVERY for technique in registry], ids=lambda t: t.name)
def test_what_a_record_says_is_there(technique):
    """Where it lives can be imported, and the options that choose it make a specification."""
    pkgutil.resolve_name(technique.lives_in)
    if technique.choose.startswith("--"):
        make_spec("digits", options_of(technique.choose))


def options_of(command):
    """Read a command line of options, each with one value at most."""
    found = {}
    for word in shlex.split(command):
        if word.startswith("--"):
            name = word[2:]
            found[name] = True
        else:
            assert found[name] is True, f"{word!r} belongs to no option"
            found[name] = tuple(word.split("; ")) if name == "ensemble.edits" else meant(word)
    return found


def meant(text):
    """Return what an option's text means: numbers are numbers, the rest are names."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_every_optimiser_has_defaults():
    assert set(OPTIM_DEFAULTS) == set(optim.OPTIMISERS.names())


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96, 224])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("images", [20, 2_000, 1_000_000])
@pytest.mark.parametrize("classes", [2, 1000])
def test_resolving_twice_changes_nothing(side, channels, images, classes):
    facts = Facts(side, side, channels, classes, images, 100, 100, channels == 3)
    for options in ({}, {"model": "mlp"}, {"model": "resnet"}, {"optimizer": "adamw"}, {"minutes": 2.0}):
        once = resolve_budget(resolve(make_spec("digits", options), facts), facts, 300.0)
        assert once.train.epochs is not None
        assert once.train.epochs > 0
        assert once.train.minutes is None
        assert once.train.batch_size <= max(16, images)
        assert resolve_budget(resolve(once, facts), facts, 1.0) == once
