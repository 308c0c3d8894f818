"""The family of pretrained classifiers: a backbone of timm or torchvision, and a head for the classes at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seewhy.spec.classifiers import FIGURES, VERBS, ClassifierReg, ClassifierTrain, batch_size, crop_padding
from seewhy.spec.classifiers import rules as classifier_rules
from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default, Defaults, Family, Metric, Model
from seewhy.spec.optimizers import LARGE_BATCH
from seewhy.spec.section import chosen
from seewhy.spec.sections import ModelSection
from seewhy.spec.view import View

FEW, SOME = 10, 100
"""Training images of a class below which a nearest mean, and a linear head, are what the data allow."""

SMALL_BATCH = 64
"""Images of a step below which statistics of batch normalisation are too noisy to replace those of the pretraining."""

FIXED = ("linear", "nearest_mean")
"""Regimes that leave the backbone as it is."""

Regime = Literal["nearest_mean", "linear", "finetune", "full"]


class PretrainedSection(ModelSection):
    """What all backbones take."""

    backbone: str = chosen(
        min_length=1, description="Name of the backbone; `seewhy techniques --backbones PATTERN` lists them."
    )
    weights: str = Field(
        "pretrained",
        min_length=1,
        description="Weights of the backbone: pretrained (from the hub's cache, else downloaded), none (random), or a file, .safetensors or "
        ".pth, of which no code is run.",
    )
    regime: Regime = chosen(
        description="What is trained: nearest_mean (the classes' mean features), linear (a head on features that are computed once), finetune "
        "(the head first, then all, the first layers slowest), full (all at one rate). Default: by the images of a class."
    )
    input_size: int | None = Field(
        None,
        ge=16,
        le=1024,
        description="Side in pixels at which the backbone sees the images (default: that of its pretraining).",
    )
    norm_statistics: Literal["frozen", "updated"] = chosen(
        description="Statistics of the backbone's batch normalisations (default: frozen in finetune with batches below 64)."
    )
    head_epochs: float = chosen(ge=0, description="Epochs of finetune in which only the head is trained.")
    lowest_rate: float = chosen(
        gt=0,
        le=1,
        description="Learning rate of the first layers as a share of the head's; between them it rises geometrically.",
    )


class Pretrained(PretrainedSection):
    """The backbone that is chosen where nothing is said."""

    name: Literal["pretrained"] = "pretrained"


class Timm(PretrainedSection):
    """Any backbone of timm."""

    name: Literal["timm"] = "timm"


class Torchvision(PretrainedSection):
    """Any backbone of torchvision."""

    name: Literal["torchvision"] = "torchvision"


DEFAULT = {"timm": "tf_efficientnet_lite0.in1k", "torchvision": "mobilenet_v3_small"}
"""Small backbones that are quick on a processor: 4.7 and 2.5 million weights, 75.1% and 67.7% on ImageNet."""


def library_of(model: str) -> Literal["timm", "torchvision"]:
    """Return where a model's backbones come from."""
    return "torchvision" if model == "torchvision" else "timm"


LACKING = ("input_dropout", "dropconnect")
"""Fields against overfitting that need layers which a ready backbone does not have."""

AUGMENTING = ("brightness", "contrast", "saturation", "hue", "mixup", "cutmix", "crop_padding")
"""Fields that change images or targets from epoch to epoch, by a number."""


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    yield from classifier_rules(view)
    for field in LACKING:
        if view[f"reg.{field}"]:
            yield f"reg.{field}: is for mlp, convnet and resnet, not for a backbone that is made already; leave it out"
    regime, weights = view["model.regime"], view["model.weights"]
    if weights == "none" and regime not in (None, "full"):
        yield f"model.regime: {regime!r} builds on pretrained weights, but model.weights is 'none'; choose 'full'"
    for field, plain in (("head_epochs", 0.0), ("lowest_rate", 1.0)):
        if regime not in (None, "finetune") and view[f"model.{field}"] not in (None, plain):
            yield f"model.{field}: belongs to model.regime finetune, but it is {regime!r}; choose it or leave this out"
    if regime in FIXED and (changed := augmented(view)):
        named = ", ".join(f"reg.{field}" for field in changed)
        yield f"{named}: features are computed once with model.regime {regime}; leave it out, or choose finetune"
    initial = view["train.initial_resolution"]
    if initial is not None and initial != view["data.resolution"]:
        yield "train.initial_resolution: a backbone sees all images at model.input_size; leave it out"


def augmented(view: View) -> list[str]:
    """Return the fields that change training images or their targets from epoch to epoch."""
    changed = [field for field in AUGMENTING if view[f"reg.{field}"]]
    changed += [field for field in ("resized_crop", "cutout", "erasing") if view[f"reg.{field}"] is not None]
    return changed + (["flip"] if view["reg.flip"] not in (None, "none") else [])


def default_regime(view: View, facts: DataFacts) -> Default:
    """Return what is trained where nothing is said: as much as the images of a class can support."""
    if view["model.weights"] == "none":
        return Default("full", "random weights")
    if augmented(view):
        return Default("finetune", "images are augmented")
    of_class = facts.train_images / facts.classes
    said = f"about {of_class:,.0f} images a class"
    if of_class < FEW:
        return Default("nearest_mean", said)
    return Default("linear" if of_class < SOME else "finetune", said)


PENALTY = 100.0
"""Of a linear head: that of scikit-learn's C = 0.01, divided by the number of images."""

RATES = {"nearest_mean": 5e-2, "linear": 2e-3, "finetune": 5e-4, "full": 1e-3}
"""Of Adam and AdamW, by regime."""


def defaults(view: View, facts: DataFacts) -> Defaults:
    """Return what is chosen where nothing is said."""
    regime = view["model.regime"] or default_regime(view, facts).value
    fixed, closure = regime in FIXED, view.optimizer is not None and view.optimizer.closure
    batch = batch_size(facts) if fixed else min(32, batch_size(facts))
    if closure or regime == "nearest_mean":
        batch = min(facts.train_images, LARGE_BATCH)
    size = view["train.batch_size"] or batch
    frozen = fixed or (regime == "finetune" and size < SMALL_BATCH)
    once = "features are computed once" if fixed else ""
    flip = view["reg.flip"] or ("random" if facts.flip_invariant and not fixed else "none")
    crop = 0 if fixed or view["reg.resized_crop"] is not None else crop_padding(facts)
    found = {
        "model.backbone": Default(DEFAULT[library_of(view["model.name"])], "small and quick"),
        "model.regime": default_regime(view, facts),
        "model.norm_statistics": Default("frozen" if frozen else "updated", once or f"batches of {size}"),
        "model.head_epochs": Default(1.0 if regime == "finetune" else 0.0, regime),
        "model.lowest_rate": Default(0.05 if regime == "finetune" else 1.0, regime),
        "optim.name": Default("adam" if fixed else "adamw", "a convex loss with an L2 penalty" if fixed else ""),
        "reg.label_smoothing": Default(0.0 if fixed else 0.1, once),
        "reg.crop_padding": Default(crop, once or f"images of {facts.side} px"),
        "reg.flip": Default(flip, once or ("" if facts.flip_invariant else "a mirrored image may mean something else")),
        "train.batch_size": Default(
            batch, "a closure's curvature" if closure else f"{facts.train_images:,} training images"
        ),
        "train.initial_resolution": Default(facts.side, "a backbone sees one size"),
        "train.ema": Default(0.0),
        "train.tta": Default("none" if flip == "none" else "flip", "no flips" if flip == "none" else ""),
    }
    if view["optim.name"] == "adam" and regime == "linear":
        found["optim.weight_decay"] = Default(round(PENALTY / facts.train_images, 6), f"{PENALTY:g} / training images")
    if view["optim.name"] in ("adamw", "adam"):
        found["optim.lr"] = Default(RATES[regime], regime)
    if not facts.small and view["data.resolution"] is None:
        found["data.resolution"] = Default(facts.side, "what the backbone's central crop is cut from")
    if regime == "nearest_mean" and view["train.minutes"] is None:
        found["train.epochs"] = Default(1.0, "nothing but a scale is trained")
    if view["train.snapshots"] > 1:
        found["optim.schedule"] = Default("cosine", "a cycle a snapshot")
    return found


def usual_epochs(facts: DataFacts) -> float:
    """Return the epochs that the size of the data asks for: 30,000 images are seen in all, in 4 to 40 epochs."""
    return float(min(40, max(4, round(30_000 / facts.train_images))))


FAMILY = Family(
    name="pretrained",
    implementation="seewhy.models.pretrained.family:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=usual_epochs,
    reg=ClassifierReg,
    train=ClassifierTrain,
    ensemble=True,
    optimizers=("adamw", "adam"),
    metric=Metric("accuracy", higher=True),
    figures=FIGURES,
    models=(
        Model(
            name="pretrained",
            section=Pretrained,
            verbs=VERBS,
            summary="a small pretrained backbone and a head for the classes at hand",
            formula="resize, crop, normalise as in the pretraining -> EfficientNet-Lite0 -> features -> linear",
            source="Tan & Le 2019, 1905.11946; Kornblith et al. 2019, 1805.08974",
            good_for="photographs, from a few to some thousands",
            bad_for="images unlike photographs of objects",
        ),
        Model(
            name="timm",
            section=Timm,
            verbs=VERBS,
            summary="any backbone of timm and a head for the classes at hand",
            formula="resize, crop, normalise as in the pretraining -> backbone -> features -> linear",
            source="Wightman 2019, github.com/huggingface/pytorch-image-models",
            good_for="photographs; the choice of more than a thousand backbones",
            bad_for="images unlike those of the pretraining",
        ),
        Model(
            name="torchvision",
            section=Torchvision,
            verbs=VERBS,
            summary="any classification backbone of torchvision and a head for the classes at hand",
            formula="resize, crop, normalise as in the pretraining -> backbone -> features -> linear",
            source="TorchVision maintainers 2016, github.com/pytorch/vision",
            good_for="photographs, without a further package",
            bad_for="images unlike those of the pretraining",
        ),
    ),
)
