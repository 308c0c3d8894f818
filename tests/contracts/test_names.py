"""The names in the specification are those of the registries, and every record is complete and true."""

import importlib
import json
import pkgutil
import shlex
from typing import get_args

import pytest
import torch

from seewhy import data, nn, optim
from seewhy.data.augmentation.augment import FLIPS
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.family import Implementation
from seewhy.models.latent.architectures import ARCHITECTURES
from seewhy.models.latent.likelihoods import LIKELIHOODS
from seewhy.optim.penalties import PENALTIES
from seewhy.runs.members import ENSEMBLES
from seewhy.spec import Request, answering, families
from seewhy.spec.adversarial import GANSection
from seewhy.spec.choices import BatchNorm
from seewhy.spec.classifiers import MLP, ClassifierReg, ConvNet, ResNet
from seewhy.spec.latent import AutoencoderSection, VAESection
from seewhy.spec.optimizers import OPTIMIZERS, Optimizer
from seewhy.spec.section import groups_of, name_of

CHOICES = [
    (ConvNet, "activation", nn.ACTIVATIONS, ()),
    (ResNet, "activation", nn.ACTIVATIONS, ()),
    (MLP, "activation", nn.ACTIVATIONS, ()),
    (VAESection, "activation", nn.ACTIVATIONS, ()),
    (ConvNet, "init", nn.INITS, ()),
    (ResNet, "init", nn.INITS, ()),
    (MLP, "init", nn.INITS, ("dirac",)),
    (ConvNet, "norm", nn.NORMS, ()),
    (ResNet, "norm", nn.NORMS, ()),
    (MLP, "norm", nn.NORMS, ("instance",)),
    (BatchNorm, "init", nn.NORM_INITS, ()),
    (ConvNet, "pool", nn.POOLINGS, ()),
    (ClassifierReg, "dropout_kind", nn.DROPOUTS, ()),
    (Optimizer, "schedule", optim.SCHEDULES, ()),
    (AutoencoderSection, "architecture", ARCHITECTURES, ()),
    (VAESection, "architecture", ARCHITECTURES, ()),
    (GANSection, "architecture", ARCHITECTURES, ()),
    (VAESection, "likelihood", LIKELIHOODS, ()),
    (GANSection, "loss", LOSSES, ()),
]
"""Fields of names, the registry that they choose from, and what of it they leave out."""

BESIDE = {"batch": {"init"}, "maxout": {"keep_parameters"}}
"""Fields of choices that are no hyper-parameters of their technique: how it starts, how wide its network is."""

NAMED = [nn.ACTIVATIONS, nn.INITS, nn.NORMS, nn.NORM_INITS, nn.POOLINGS, nn.DROPOUTS, optim.OPTIMISERS, optim.SCHEDULES]
NAMED += [ARCHITECTURES, LIKELIHOODS, LOSSES]
EVERY = [*NAMED, nn.OUTPUTS, nn.REGULARISERS, PENALTIES, data.AUGMENTATIONS, ENSEMBLES]
MODELS = [(family, model) for family in families() for model in family.models]


def names_of(info):
    """Return what a field may be called."""
    groups = groups_of(info.annotation)
    return [name_of(group) for group in groups] if groups else [str(name) for name in get_args(info.annotation)]


@pytest.mark.parametrize(("section", "field", "registry", "without"), CHOICES)
def test_names_are_the_registrys(section, field, registry, without):
    assert sorted(names_of(section.model_fields[field])) == sorted(set(registry.names()) - set(without))


def test_optimisers_are_the_registrys():
    assert sorted(map(name_of, OPTIMIZERS)) == sorted(optim.OPTIMISERS.names())


def test_flips_are_those_of_the_augmentation():
    assert sorted(get_args(ClassifierReg.model_fields["flip"].annotation)) == sorted(FLIPS)


@pytest.mark.parametrize("registry", NAMED, ids=lambda registry: registry.family)
def test_every_registry_is_chosen_from(registry):
    assert registry is optim.OPTIMISERS or any(registry is other for _, _, other, _ in CHOICES)


@pytest.mark.parametrize("field", ["activation", "init", "norm", "pool"])
def test_the_fields_of_a_choice_are_the_hyper_parameters_of_its_technique(field):
    registry = next(registry for section, name, registry, _ in CHOICES if (section, name) == (ConvNet, field))
    for choice in groups_of(ConvNet.model_fields[field].annotation):
        fields = set(choice.model_fields) - {"name"} - BESIDE.get(name_of(choice), set())
        assert fields == set(registry[name_of(choice)].hyperparameters)


@pytest.mark.parametrize("section", OPTIMIZERS, ids=name_of)
def test_the_section_of_an_optimiser_is_that_of_its_record(section):
    """It has the record's hyper-parameters, with the optimiser's own defaults, and evaluates the loss itself where that does."""
    technique = optim.OPTIMISERS[name_of(section)]
    common = {"name", "schedule", "warmup", "lr", "weight_decay"}
    assert set(section.model_fields) - common == set(technique.hyperparameters)
    assert section.closure == technique.factory.closure
    weights = [("w", torch.nn.Parameter(torch.ones(2, 2)))]
    spelled = {name: section.model_fields[name].get_default() for name in technique.hyperparameters}
    usual, same = (optim.build(technique.name, weights, lr=0.1, **options) for options in ({}, spelled))
    assert usual.state_dict()["param_groups"] == same.state_dict()["param_groups"]


@pytest.mark.parametrize("technique", [t for registry in NAMED for t in registry], ids=lambda t: t.name)
def test_records_are_complete(technique):
    assert technique.summary
    assert technique.formula
    assert technique.source
    assert technique.good_for or technique.name == "none"
    importlib.import_module(technique.factory.__module__)


@pytest.mark.parametrize("technique", [t for registry in EVERY for t in registry], ids=lambda t: t.name)
def test_what_a_record_says_is_there(technique):
    """Its qualified name can be imported, and the options of its example make a request."""
    assert technique.qualified_name.startswith(("seewhy.", "torch."))
    pkgutil.resolve_name(technique.qualified_name)
    if technique.example.startswith("--"):
        Request.make("digits", options_of(technique.example))


def options_of(command):
    """Read a command line of options, each with one value at most."""
    found = {}
    for word in shlex.split(command):
        if word.startswith("--"):
            name = word[2:]
            found[name] = True
        else:
            assert found[name] is True, f"{word!r} belongs to no option"
            found[name] = tuple(word.split("; ")) if name == "ensemble.edits" else value_of(word)
    return found


def value_of(text):
    """Return what an option's text means: numbers are numbers, several with commas a list, the rest are names."""
    try:
        found = json.loads(f"[{text}]")
    except ValueError:
        return text
    return found[0] if len(found) == 1 else found


@pytest.mark.parametrize(("family", "model"), MODELS, ids=[model.name for _, model in MODELS])
def test_models_are_complete_and_their_family_does_what_they_promise(family, model):
    assert model.summary
    assert model.formula
    assert model.source
    assert model.good_for
    assert model.bad_for
    assert name_of(model.section) == model.name
    implementation = pkgutil.resolve_name(family.implementation)
    assert isinstance(implementation, Implementation)
    assert model.verbs <= set(implementation.verbs)
    assert all(model.name in answering(verb) for verb in model.verbs)
