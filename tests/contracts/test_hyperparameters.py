"""Every hyper-parameter that a registered technique names is a field of the specification, and setting it changes what is built.

The cases come from the records: a technique with a hyper-parameter that no request can set fails here.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn as torch_nn

from seewhy import data, nn, optim
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.classifiers import classifier
from seewhy.models.latent.architectures import ARCHITECTURES
from seewhy.models.latent.likelihoods import LIKELIHOODS
from seewhy.optim.penalties import PENALTIES
from seewhy.runs.members import ENSEMBLES
from seewhy.runs.run import Run
from seewhy.spec import DataFacts, Request, resolve
from seewhy.spec.tree import known_paths
from seewhy.training.build import make_job, prepare_again

REGISTRIES = {
    "activations": nn.ACTIVATIONS,
    "inits": nn.INITS,
    "norms": nn.NORMS,
    "norm inits": nn.NORM_INITS,
    "outputs": nn.OUTPUTS,
    "poolings": nn.POOLINGS,
    "dropouts": nn.DROPOUTS,
    "regularisers": nn.REGULARISERS,
    "optimisers": optim.OPTIMISERS,
    "schedules": optim.SCHEDULES,
    "penalties": PENALTIES,
    "augmentations": data.AUGMENTATIONS,
    "architectures": ARCHITECTURES,
    "likelihoods": LIKELIHOODS,
    "losses": LOSSES,
    "ensembles": ENSEMBLES,
}

HOLDERS = {
    "activations": "model.activation",
    "inits": "model.init",
    "norms": "model.norm",
    "poolings": "model.pool",
    "optimisers": "optim",
    "schedules": "optim",
    "architectures": "model",
    "penalties": "reg",
    "regularisers": "reg",
}
"""Where the hyper-parameters of a registry stand, by their own names."""

OTHER = {
    ("dropouts", "inverted", "p"): "reg.dropout",
    ("dropouts", "classic", "p"): "reg.dropout",
    ("regularisers", "dropout", "p"): "reg.dropout",
    ("regularisers", "dropout", "kind"): "reg.dropout_kind",
    ("regularisers", "dropconnect", "drop"): "reg.dropconnect",
    ("regularisers", "stochastic_depth", "survival"): "model.stochastic_depth",
    ("penalties", "weight_decay", "weight_decay"): "optim.weight_decay",
    ("augmentations", "random_crop", "padding"): "reg.crop_padding",
    ("augmentations", "random_resized_crop", "scale"): "reg.resized_crop.scale",
    ("augmentations", "random_resized_crop", "ratio"): "reg.resized_crop.ratio",
    ("augmentations", "flip", "kind"): "reg.flip",
    ("augmentations", "color_jitter", "brightness"): "reg.brightness",
    ("augmentations", "color_jitter", "contrast"): "reg.contrast",
    ("augmentations", "color_jitter", "saturation"): "reg.saturation",
    ("augmentations", "color_jitter", "hue"): "reg.hue",
    ("augmentations", "cutout", "size"): "reg.cutout.size",
    ("augmentations", "random_erasing", "probability"): "reg.erasing.probability",
    ("augmentations", "random_erasing", "area"): "reg.erasing.area",
    ("augmentations", "random_erasing", "ratio"): "reg.erasing.ratio",
    ("augmentations", "mixup", "alpha"): "reg.mixup",
    ("augmentations", "cutmix", "alpha"): "reg.cutmix",
    ("ensembles", "ema", "decay"): "train.ema",
}
"""The fields of the others."""

OF_VERBS = {("regularisers", "monte_carlo_dropout", "samples"): Run.predict}
"""Hyper-parameters of prediction, which are no part of a run."""

VALUES: dict[str, Any] = {
    "model.activation.slope": 0.2,
    "model.activation.init": 0.1,
    "model.activation.shared": True,
    "model.activation.alpha": 2.0,
    "model.activation.pieces": 3,
    "model.init.std": 0.05,
    "model.init.gain": 2.0,
    "model.init.tolerance": 0.9,
    "model.init.max_iter": 1,
    "model.norm.momentum": 0.3,
    "model.norm.eps": 1e-3,
    "model.norm.groups": 2,
    "model.pool.ratio": 1.5,
    "model.pool.regions": "random",
    "model.pool.overlapping": False,
    "model.stochastic_depth": 0.25,
    "model.width": 24,
    "model.depth": 1,
    "reg.dropout": 0.4,
    "reg.dropout_kind": "classic",
    "reg.dropconnect": 0.3,
    "reg.label_smoothing": 0.3,
    "reg.l1": 1e-3,
    "reg.l2": 1e-3,
    "reg.max_norm": 2.0,
    "reg.crop_padding": 3,
    "reg.flip": "random",
    "reg.brightness": 0.3,
    "reg.contrast": 0.3,
    "reg.saturation": 0.3,
    "reg.hue": 0.3,
    "reg.resized_crop.scale": (0.4, 0.9),
    "reg.resized_crop.ratio": (0.5, 1.5),
    "reg.cutout.size": 5,
    "reg.erasing.probability": 0.4,
    "reg.erasing.area": (0.1, 0.2),
    "reg.erasing.ratio": (0.5, 1.5),
    "reg.mixup": 0.7,
    "reg.cutmix": 0.7,
    "optim.momentum": 0.7,
    "optim.steps": 5,
    "optim.alpha": 0.8,
    "optim.betas": (0.8, 0.99),
    "optim.eps": 1e-4,
    "optim.weight_decay": 0.03,
    "optim.max_cg": 7,
    "optim.levenberg": 3.0,
    "optim.line_search": "exact",
    "optim.c1": 1e-3,
    "optim.c2": 0.8,
    "optim.history": 4,
    "optim.warmup": 0.4,
    "train.ema": 0.9,
}
"""A value of each field that it does not have by itself."""

BASE = {"epochs": 1.0, "data.channels": 3, "resolution": 16, "device": "cpu", "precision": "fp32", "train.threads": 1}
FACTS = DataFacts(16, 16, 3, 10, 1375, 153, 269, flip_invariant=False)


def chosen(family, name):
    """Return the options that choose a technique, before its hyper-parameters are set."""
    by_name = {
        "activations": {"model": "mlp", "width": 16, "activation": name},
        "inits": {"model": "mlp", "width": 64, "norm": "none", "init": name, "activation": "relu"},
        "norms": {"width": 16, "norm": name},
        "poolings": {"model": "convnet", "width": 16, "model.pool": name},
        "optimisers": {"model": "mlp", "width": 4, "depth": 1, "resolution": 4, "optimizer": name},
        "schedules": {"model": "mlp", "width": 16, "optim.schedule": name},
        "dropouts": {"model": "mlp", "width": 16, "reg.dropout_kind": name, "dropout": 0.1},
        "architectures": {"model": "vae", "model.architecture": name},
    }
    special = {
        "dropout": {"model": "mlp", "width": 16, "dropout": 0.1},
        "stochastic_depth": {"model": "resnet", "width": 8},
        "weight_decay": {"model": "mlp", "width": 16, "optimizer": "adamw"},
        "cutout": {"model": "mlp", "width": 16, "reg.cutout": 2},
        "random_erasing": {"model": "mlp", "width": 16, "reg.erasing": 0.2},
        "random_resized_crop": {"model": "mlp", "width": 16, "reg.resized_crop": 0.2},
    }
    return special.get(name) or by_name.get(family) or {"model": "mlp", "width": 16}


def job_of(options, changes=None):
    """Return the job of a run, built as training builds it."""
    request = Request.make("digits", {**BASE, **options}).with_changes(changes or {})
    side = request.get("data.resolution")
    facts = DataFacts(side, side, *(getattr(FACTS, name) for name in list(vars(FACTS))[2:]))
    prepared = prepare_again(resolve(request, facts), lambda event: None)
    return make_job(prepared, Path("unwritten"), lambda event: None, None)


# What was built says of a hyper-parameter.


def part(job, kind):
    """Return the last module of a kind."""
    return [module for module in job.model.modules() if isinstance(module, kind)][-1]


SCALED: list[dict[str, Any]] = []
"""What LSUV was called with, run after run: one rescaling is enough on most data, so that the weights would not tell."""


@pytest.fixture(autouse=True)
def _recorded(monkeypatch):
    def recorded(*args, **options):
        SCALED.append(options)
        return nn.lsuv_(*args, **options)

    monkeypatch.setattr(classifier, "lsuv_", recorded)


def activation_of(job, name, parameter):
    if name == "maxout":
        return next(module.pieces for module in job.model.modules() if hasattr(module, "pieces"))
    if name == "prelu":
        weight = part(job, torch_nn.PReLU).weight
        return weight.numel() == 1 if parameter == "shared" else pytest.approx(weight[0].item())
    kind, attribute = {"leaky_relu": (torch_nn.LeakyReLU, "negative_slope"), "elu": (torch_nn.ELU, "alpha")}[name]
    return getattr(part(job, kind), attribute)


def init_of(job, name, parameter):
    weight = next(module for module in job.model.modules() if isinstance(module, torch_nn.Linear)).weight.detach()
    if parameter == "std":
        return pytest.approx(weight.std().item(), rel=0.05)
    if parameter == "gain":
        return pytest.approx(torch.linalg.matrix_norm(weight, 2).item(), rel=1e-3)
    return SCALED[-1][parameter]


def norm_of(job, name, parameter):
    modules = [module for module in job.model.modules() if "Norm" in type(module).__name__ and hasattr(module, "eps")]
    return getattr(modules[-1], {"groups": "num_groups"}.get(parameter, parameter))


def pooling_of(job, name, parameter):
    return getattr(part(job, nn.FractionalMaxPool2d), parameter)


def dropout_of(job, name, parameter):
    return getattr(part(job, nn.Dropout), parameter)


def regulariser_of(job, name, parameter):
    if name == "label_smoothing":
        return job.objective.updates(0)[0].criterion.keywords["label_smoothing"]
    if name == "dropconnect":
        return next((module.drop for module in job.model.modules() if isinstance(module, nn.DropConnectLinear)), 0.0)
    if name == "stochastic_depth":
        modules = [module for module in job.model.modules() if isinstance(module, nn.StochasticDepth)]
        return 1 - modules[-1].survival if modules else 0.0
    return dropout_of(job, name, parameter)


def optimiser_of(job, name, parameter):
    if parameter == "levenberg":
        return job.optimizer._memory["damping"]
    if parameter == "history":
        return job.optimizer._memory.m
    return job.optimizer.param_groups[0][parameter]


def schedule_of(job, name, parameter):
    return [job.schedule(step) for step in range(job.total_steps)]


def penalty_of(job, name, parameter):
    if name == "weight_decay":
        return job.optimizer.param_groups[0]["weight_decay"]
    return getattr(job.penalties, parameter, None)


def augmentation_of(job, name, parameter):
    augment, mix = job.objective.augment, job.objective.mix
    if name in ("mixup", "cutmix"):
        return mix.alpha if mix is not None and mix.kind == name else None
    if name == "random_resized_crop":
        return getattr(augment.resized_crop, parameter)
    if name in ("cutout", "random_erasing"):
        return getattr(augment.erase, parameter)
    return getattr(augment, {"padding": "crop_padding", "kind": "flip"}.get(parameter, parameter))


def architecture_of(job, name, parameter):
    return [tuple(weight.shape) for weight in job.model.parameters()]


def average_of(job, name, parameter):
    return job.average.decay if job.average is not None else 0.0


READERS = {
    "activations": activation_of,
    "inits": init_of,
    "norms": norm_of,
    "poolings": pooling_of,
    "dropouts": dropout_of,
    "regularisers": regulariser_of,
    "optimisers": optimiser_of,
    "schedules": schedule_of,
    "penalties": penalty_of,
    "augmentations": augmentation_of,
    "architectures": architecture_of,
    "ensembles": average_of,
}

ANYTHING_ELSE = {"optim.warmup", "model.width", "model.depth"}
"""Fields of which what was built tells only that it is another."""

CASES = [
    (family, technique.name, parameter)
    for family, registry in REGISTRIES.items()
    for technique in registry
    for parameter in technique.hyperparameters
]
OF_RUNS = [case for case in CASES if case not in OF_VERBS]


def field_of(family, name, parameter):
    """Return the field that sets a hyper-parameter."""
    return OTHER.get((family, name, parameter)) or f"{HOLDERS.get(family, '?')}.{parameter}"


def test_there_are_hyper_parameters():
    assert len(CASES) > 60
    assert set(OTHER) <= set(CASES)
    assert set(OF_VERBS) <= set(CASES)


@pytest.mark.parametrize(("family", "name", "parameter"), OF_RUNS)
def test_every_hyper_parameter_is_a_field(family, name, parameter):
    path = field_of(family, name, parameter)
    assert path in known_paths(), (
        f"{parameter} of {name} ({family}) cannot be set by a request: there is no field {path}"
    )
    assert path in VALUES, f"{path}: give a value to be tried in VALUES"


@pytest.mark.parametrize(("case", "verb"), OF_VERBS.items(), ids=["-".join(case) for case in OF_VERBS])
def test_hyper_parameters_of_prediction_are_arguments_of_its_verb(case, verb):
    assert case[2] in inspect.signature(verb).parameters


@pytest.mark.parametrize(("family", "name", "parameter"), OF_RUNS)
def test_setting_it_changes_what_is_built(family, name, parameter):
    path, options = field_of(family, name, parameter), chosen(family, name)
    value, read = VALUES[path], READERS[family]
    before = read(job_of(options), name, parameter)
    after = read(job_of(options, {path: value}), name, parameter)
    assert before != after
    if path not in ANYTHING_ELSE:
        assert value == after
        assert value != before


def test_a_hyper_parameter_without_a_field_is_found():
    """The check above has teeth: a parameter that no field sets is not known."""
    assert field_of("activations", "elu", "beta") not in known_paths()
    assert field_of("outputs", "softmax", "temperature") not in known_paths()
