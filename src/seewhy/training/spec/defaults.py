"""What a run does where its user said nothing: every None of a RunSpec resolved from the data.

The rules are few and visible, and their outcome is written into the run's spec.toml. Budgets: small colour pictures are
shown half a million times in all (10 epochs of CIFAR-10), grey ones 270,000 times, larger ones 130,000 times, within bounds
on the epochs; if that would take more than `DEFAULT_MINUTES` on this machine, the epochs that fit are taken instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seewhy.core.errors import InputError
from seewhy.training.spec import RunSpec
from seewhy.training.spec.generator_defaults import generator_defaults, generator_epochs
from seewhy.training.spec.sections import GENERATORS, SECOND_ORDER

SMALL = 64
"""Sides up to this many pixels are small: full-resolution stem, whitening, convnet."""

DEFAULT_MINUTES = 8.75
"""Training time that a default budget stays within, by the estimate made before the run."""


@dataclass(frozen=True)
class Facts:
    """What the defaults depend on: facts of the data, no pictures."""

    height: int
    width: int
    channels: int
    classes: int
    train_images: int
    val_images: int
    test_images: int
    mirrorable: bool

    @property
    def side(self) -> int:
        """The longer side in pixels."""
        return max(self.height, self.width)


def resolve(spec: RunSpec, facts: Facts) -> RunSpec:
    """Fill in every choice but the budget in epochs, which needs the machine's speed (`resolve_budget`).

    Raises:
        InputError: a choice does not fit the data (a whitening stem on large pictures, hue on grey ones, ...).
    """
    _refuse_misfits(spec, facts)
    if spec.model.name in GENERATORS:
        return _filled(spec, generator_defaults(spec, facts))
    model = _model_defaults(spec, facts)
    small = facts.side <= SMALL
    flip = spec.reg.flip or ("alternating" if facts.mirrorable else "none")
    # Muon gives matrices a fixed norm, which changes nothing only where a normalisation layer follows.
    chosen = spec.optim.name or ("adamw" if spec.model.norm == "none" else "muon")
    muon = chosen == "muon"
    second = chosen in SECOND_ORDER
    batch = spec.train.batch_size or (min(facts.train_images, LARGE_BATCH) if second else batch_size(facts))
    optim: dict[str, Any] = {"name": chosen, **OPTIM_DEFAULTS[chosen]}
    if spec.train.snapshots > 1:
        optim["schedule"] = "cosine"
    if muon:
        optim["lr"] = round(optim["lr"] * math.sqrt(min(batch, 2000) / 500), 4)
    # An mlp looks at fixed places: its pictures are not moved about.
    crop = 0 if model["name"] == "mlp" or spec.reg.resized_crop is not None else crop_padding(facts)
    defaults: dict[str, Mapping[str, Any]] = {
        "data": {"resolution": facts.side, "channels": facts.channels},
        "model": model,
        "reg": {"label_smoothing": 0.2 if muon and small else 0.1, "crop_padding": crop, "flip": flip},
        "optim": optim,
        "train": {
            "batch_size": batch,
            # Curvature learnt at one size is not that at another.
            "early_resolution": facts.side if second or model["name"] == "mlp" else early_resolution(facts),
            "ema": 0.0,
            "tta": "none" if flip == "none" or model["name"] == "mlp" else "flip_shift" if small else "flip",
        },
    }
    return _filled(spec, defaults)


def _filled(spec: RunSpec, defaults: Mapping[str, Mapping[str, Any]]) -> RunSpec:
    """Return the specification with what it leaves open."""
    changes = {
        f"{section}.{name}": value
        for section, fields in defaults.items()
        for name, value in fields.items()
        if getattr(getattr(spec, section), name) is None and value is not None
    }
    return spec.with_changes(changes)


OPTIM_DEFAULTS: dict[str, dict[str, Any]] = {
    "muon": {"lr": 0.17, "momentum": 0.6, "weight_decay": 0.0, "schedule": "linear"},
    "sgd": {"lr": 0.1, "weight_decay": 5e-4, "schedule": "one_cycle"},
    "momentum": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "one_cycle"},
    "nesterov": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "one_cycle"},
    "adagrad": {"lr": 0.01, "weight_decay": 0.0, "schedule": "one_cycle"},
    "rmsprop": {"lr": 1e-3, "momentum": 0.0, "weight_decay": 0.0, "schedule": "one_cycle"},
    "adam": {"lr": 2e-3, "weight_decay": 0.0, "schedule": "one_cycle"},
    "adamw": {"lr": 2e-3, "weight_decay": 0.05, "schedule": "one_cycle"},
    **{name: {"lr": 1.0, "weight_decay": 0.0, "schedule": "constant"} for name in SECOND_ORDER},
}
"""Learning rates and schedules by optimiser; muon's is that of batch 500 and grows with the root of the batch."""


def crop_padding(facts: Facts) -> int:
    """Return the border of the random crop: about a sixteenth of the side for small pictures, an eighth for larger ones."""
    return max(1, round(facts.side / 16)) if facts.side <= SMALL else facts.side // 8


def early_resolution(facts: Facts) -> int:
    """Return the side for the first part of the run (progressive resizing, Tan & Le 2021, 2104.00298).

    Three quarters of the side, at which a step costs little more than half; on CIFAR-10 that loses half a point at equal
    epochs and gains more in the time that it saves. Below `LEAST_EARLY` pixels nothing is gained.
    """
    return min(facts.side, max(LEAST_EARLY, round(0.75 * facts.side)))


LEAST_EARLY = 25
"""The least side whose maps keep 3 pixels behind the whitening layer and three poolings; on maps of 2 convolutions are slow."""


LARGE_BATCH = 2000
"""Images a step of an optimiser that learns curvature, which the noise of small batches drowns."""


def batch_size(facts: Facts) -> int:
    """Return the images a step: large for large sets of small pictures, at least about 20 steps an epoch for small sets."""
    most = 500 if facts.side <= SMALL else 64
    return min(facts.train_images, max(16, min(most, facts.train_images // 20)))


def _model_defaults(spec: RunSpec, facts: Facts) -> dict[str, Any]:
    small = facts.side <= SMALL
    name = spec.model.name or ("convnet" if small else "resnet")
    stem = None if name == "mlp" else "large" if not small else "whitening" if name == "convnet" else "small"
    activation = spec.model.activation or ("silu" if name == "convnet" else "relu")
    init = {"mlp": "he", "convnet": "dirac", "resnet": "he"}[name]
    # Grey pictures of one object need far fewer filters than colour photographs.
    widths = {"mlp": 512, "convnet": 64 if facts.channels == 3 else 32, "resnet": 32}
    depths = {"mlp": 2, "convnet": 3, "resnet": 4 if not small else 3}
    return {
        "name": name,
        "activation": activation,
        "init": init,
        "norm": "batch",
        "width": widths[name],
        "depth": depths[name],
        "stem": stem,
    }


def _refuse_misfits(spec: RunSpec, facts: Facts) -> None:
    """Refuse choices that the data rule out."""
    if spec.model.stem == "whitening" and facts.side > SMALL:
        raise InputError(
            f"model.stem: 'whitening' is for pictures of up to {SMALL} pixels, but these have {facts.side}; "
            "choose 'large', or a smaller data.resolution"
        )
    if facts.channels == 1 and (spec.reg.saturation > 0 or spec.reg.hue > 0):
        raise InputError(
            "reg.saturation, reg.hue: the pictures are grey and have neither; set both to 0 or data.channels to 3"
        )
    if spec.reg.crop_padding is not None and spec.reg.crop_padding >= min(facts.height, facts.width):
        least = min(facts.height, facts.width)
        raise InputError(
            f"reg.crop_padding: must be less than the pictures' side ({least}), got {spec.reg.crop_padding}"
        )
    early = spec.train.early_resolution
    if early is not None and early > facts.side:
        raise InputError(f"train.early_resolution: must be at most the pictures' side ({facts.side}), got {early}")
    if spec.train.batch_size is not None and spec.train.batch_size > facts.train_images:
        raise InputError(
            f"train.batch_size: must be at most the number of training images ({facts.train_images}), got {spec.train.batch_size}"
        )


def usual_epochs(facts: Facts) -> float:
    """Return the epochs that the size of the data asks for, whatever the machine."""
    # Grey pictures of one object are learnt from fewer showings than colour photographs.
    shown = 130_000 if facts.side > SMALL else 500_000 if facts.channels == 3 else 270_000
    most = 40 if facts.side <= SMALL else 100
    return float(min(most, max(4, round(shown / facts.train_images))))


def estimate_seconds(spec: RunSpec, facts: Facts, images_per_second: float, epochs: float) -> float:
    """Return the seconds that training, validation after each epoch and the final test are expected to take.

    A forward pass alone takes about a third of a training step. Each test-time view is one forward pass; the validation after an
    epoch looks at one view.
    """
    small = ((spec.train.early_resolution or facts.side) / facts.side) ** 2
    share = 1 - spec.train.early_fraction * (1 - small)  # of the cost of an epoch at the full side
    views = {"none": 1, "flip": 2, "flip_shift": 4}[spec.train.tta or "none"]
    forward = 1 / (3 * images_per_second)
    an_epoch = share * facts.train_images / images_per_second + facts.val_images * forward
    return epochs * an_epoch + (facts.test_images + facts.val_images) * views * forward


def resolve_budget(spec: RunSpec, facts: Facts, images_per_second: float) -> RunSpec:
    """Write the budget in epochs into the specification.

    Args:
        spec: a specification resolved by `resolve`.
        facts: of the data.
        images_per_second: training speed measured on this machine for this network.
    """
    if spec.train.epochs is not None:
        return spec
    fixed = estimate_seconds(spec, facts, images_per_second, 0)
    an_epoch = estimate_seconds(spec, facts, images_per_second, 1) - fixed
    minutes = spec.train.minutes if spec.train.minutes is not None else DEFAULT_MINUTES
    affordable = max(0.0, minutes * 60 - fixed) / an_epoch
    usual = generator_epochs(facts) if spec.model.name in GENERATORS else usual_epochs(facts)
    epochs = affordable if spec.train.minutes is not None else min(usual, affordable)
    one_step = (spec.train.batch_size or 1) / facts.train_images
    return spec.with_changes({"train.epochs": round(max(epochs, one_step), 4), "train.minutes": None})
