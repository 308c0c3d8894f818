"""The family of classifiers: multilayer perceptron, plain convolutional network, residual network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from seewhy.spec import choices
from seewhy.spec.facts import SMALL, DataFacts
from seewhy.spec.family import Default, Defaults, Family, Metric, Model
from seewhy.spec.optimizers import LARGE_BATCH
from seewhy.spec.section import chosen
from seewhy.spec.sections import Cutout, Erasing, ModelSection, RegSection, ResizedCrop, TrainSection
from seewhy.spec.view import View


def _width(of: str) -> Any:
    return chosen(ge=1, le=65536, description=of)


def _depth(of: str, most: int = 200) -> Any:
    return chosen(ge=1, le=most, description=of)


class ClassifierSection(ModelSection):
    """What all classifiers take."""

    inputs: Literal["standard", "unit"] = Field(
        "standard",
        description="Scale of the inputs: mean 0 and standard deviation 1 per channel over the training images, or from 0 to 1.",
    )
    activation: choices.Activation = chosen(description="Activation function.")


class MLP(ClassifierSection):
    """Fully connected layers."""

    name: Literal["mlp"] = "mlp"
    init: choices.DenseInit = chosen(description="Weight initialisation.")
    norm: choices.DenseNorm = chosen(description="Normalisation between linear layer and activation.")
    width: int = _width("Units of a hidden layer.")
    depth: int = _depth("Hidden layers.")


class ConvolutionalSection(ClassifierSection):
    """What convolutional classifiers share."""

    init: choices.Init = chosen(description="Weight initialisation.")
    norm: choices.Norm = chosen(description="Normalisation between convolution and activation.")
    width: int = _width("Channels of the first group.")


class ConvNet(ConvolutionalSection):
    """Plain convolutions."""

    name: Literal["convnet"] = "convnet"
    depth: int = _depth("Groups of layers.")
    stem: Literal["whitening", "small", "large"] = chosen(
        description="First layers: whitening or small up to 64 pixels, large above."
    )
    pool: choices.Pool = Field(choices.MaxPool(), description="Pooling.")


class ResNet(ConvolutionalSection):
    """Residual blocks."""

    name: Literal["resnet"] = "resnet"
    depth: int = _depth("Stages of two blocks; each doubles the width.", most=6)
    stem: Literal["small", "large"] = chosen(description="First layers: small up to 64 pixels, large above.")
    stochastic_depth: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability with which the last residual block is skipped in training; earlier ones less, linearly.",
    )


class ClassifierReg(RegSection):
    """Against overfitting: also what changes targets, and what a generative model would learn as if it were the data."""

    label_smoothing: float = chosen(
        ge=0, lt=1, description="Probability taken from the true class and spread over all."
    )
    class_weights: Literal["none", "sqrt", "equal"] = Field(
        "none",
        description="Weigh the loss of rare classes more: not, by the square roots of the classes' sizes, or so that all count equally.",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability with which a unit is dropped: after every hidden layer of an mlp, before the output layer of others.",
    )
    input_dropout: float = Field(0.0, ge=0, lt=1, description="Probability with which a value of the image is dropped.")
    dropout_kind: Literal["inverted", "classic"] = Field(
        "inverted", description="Scale dropout in training (inverted) or evaluation (classic)."
    )
    dropconnect: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability with which a weight in front of an activation is dropped, anew for each image.",
    )
    dropconnect_shared: int = Field(
        1, ge=1, description="Images that share a mask of DropConnect; masks cost that much less."
    )
    crop_padding: int = chosen(ge=0, le=256, description="Pixels of reflected border for the random crop.")
    resized_crop: ResizedCrop | None = Field(
        None,
        description="Random resized crops, by the least share of the area (0.08 for photographs); replaces the padded crop.",
    )
    cutout: Cutout | None = Field(None, description="A square erased from every training image, by its side in pixels.")
    erasing: Erasing | None = Field(
        None, description="A random rectangle erased from some training images, by their share."
    )
    mixup: float = Field(
        0.0, ge=0, le=100, description="Blend pairs of images and targets by Beta(this, this); 0 is off."
    )
    cutmix: float = Field(
        0.0, ge=0, le=100, description="Paste windows of other images, sized by Beta(this, this); 0 is off."
    )


class ClassifierTrain(TrainSection):
    """Training: also the choice of the best epoch, progressive resizing, test-time augmentation and snapshots."""

    metric: Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss"] = Field(
        "accuracy", description="Figure of the validation images by which the best epoch is chosen."
    )
    initial_resolution: int = chosen(
        ge=4,
        le=1024,
        description="Side in pixels at which the first part of the run sees the images (progressive resizing); the full side is off.",
    )
    initial_fraction: float = Field(
        0.6, ge=0, le=1, description="Share of the steps that are taken at train.initial_resolution."
    )
    tta: Literal["none", "flip", "flip_shift"] = chosen(
        description="Average predictions over mirrored, or mirrored and shifted, views."
    )
    snapshots: int = Field(
        1,
        ge=1,
        le=1000,
        description="Cycles of the learning rate, each of which leaves a network; predictions average them (a snapshot ensemble).",
    )


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    yield from _network(view)
    yield from _augmentation(view)
    yield from _snapshots(view)
    if view["reg.dropout_kind"] != "inverted" and not (view["reg.dropout"] or view["reg.input_dropout"]):
        yield (
            f"reg.dropout_kind: {view['reg.dropout_kind']!r} needs dropout, but reg.dropout and reg.input_dropout are 0; "
            "raise one or leave it out"
        )
    if view["reg.dropconnect_shared"] > 1 and not view["reg.dropconnect"]:
        yield (
            f"reg.dropconnect_shared: {view['reg.dropconnect_shared']} needs reg.dropconnect, which is 0; raise it or leave this out"
        )
    if view["reg.class_weights"] != "none" and view["data.balance"] != "none":
        yield "reg.class_weights, data.balance: both make up for classes of different sizes; choose one"
    members = view["ensemble.members"]
    if members == 1 and (view["ensemble.edits"] or view["ensemble.jobs"]):
        yield "ensemble: edits and jobs belong to several members, but ensemble.members is 1; raise it or leave them out"


def _network(view: View) -> Iterator[str]:
    resolution = view["data.resolution"]
    if view["model.stem"] == "whitening" and (resolution or 0) > SMALL:
        yield (
            f"model.stem: 'whitening' is for images of up to {SMALL} pixels, but data.resolution is {resolution}; choose 'large'"
        )


def _snapshots(view: View) -> Iterator[str]:
    snapshots = view["train.snapshots"]
    if snapshots == 1:
        return
    if view["ensemble.members"] > 1:
        yield (
            f"train.snapshots: {snapshots} snapshots of {view['ensemble.members']} members are one ensemble too many; choose one of the two"
        )
    if view["optim.schedule"] not in (None, "cosine"):
        yield (
            f"train.snapshots: the rate falls along cosines, but optim.schedule is {view['optim.schedule']!r}; choose cosine or leave it out"
        )
    if view["train.patience"] is not None:
        yield (
            f"train.snapshots: each cycle begins with a worse network, so train.patience {view['train.patience']} would stop it; leave one out"
        )


def _augmentation(view: View) -> Iterator[str]:
    initial, resolution, padding = view["train.initial_resolution"], view["data.resolution"], view["reg.crop_padding"]
    if initial is not None and resolution is not None and initial > resolution:
        yield f"train.initial_resolution: must be at most data.resolution ({resolution}), got {initial}"
    if initial is not None and view["model.name"] == "mlp" and initial != resolution:
        yield f"train.initial_resolution: an mlp takes images of one size, got {initial}; leave it out"
    if padding and view["reg.resized_crop"] is not None:
        yield (
            f"reg.resized_crop: replaces the padded crop, but reg.crop_padding is {padding}; set that to 0 or leave one out"
        )
    if view["reg.cutout"] and view["reg.erasing"]:
        yield "reg.cutout, reg.erasing: both erase a region of the image; choose one"
    if view["reg.mixup"] and view["reg.cutmix"]:
        yield "reg.mixup, reg.cutmix: both mix pairs of images; choose one"
    if view["train.tta"] in ("flip", "flip_shift") and view["reg.flip"] == "none":
        yield (
            f"train.tta: {view['train.tta']!r} averages over mirrored images, but reg.flip is 'none'; "
            "choose 'none' or let training flip"
        )
    if resolution is not None and padding is not None and padding >= resolution:
        yield f"reg.crop_padding: must be less than data.resolution ({resolution}), got {padding}"


def crop_padding(facts: DataFacts) -> int:
    """Return the border of the random crop: about a sixteenth of the side for small images, an eighth for larger ones."""
    return max(1, round(facts.side / 16)) if facts.small else facts.side // 8


LEAST_INITIAL = 25
"""The least side whose maps keep 3 pixels behind the whitening layer and three poolings; on maps of 2 convolutions are slow."""


def initial_resolution(facts: DataFacts) -> int:
    """Return the side for the first part of the run (progressive resizing, Tan & Le 2021, 2104.00298).

    Three quarters of the side, at which a step costs little more than half; on CIFAR-10 that loses half a point at equal
    epochs and gains more in the time that it saves. Below `LEAST_INITIAL` pixels nothing is gained.
    """
    return min(facts.side, max(LEAST_INITIAL, round(0.75 * facts.side)))


def batch_size(facts: DataFacts) -> int:
    """Return the images of a step: many for large sets of small images, so few that an epoch has about 20 steps for small sets."""
    most = 500 if facts.small else 64
    return min(facts.train_images, max(16, min(most, facts.train_images // 20)))


def usual_epochs(facts: DataFacts) -> float:
    """Return the epochs that the size of the data asks for, whatever the machine.

    Small colour images are seen half a million times in all (10 epochs of CIFAR-10), grey ones, mostly of one object each, 270,000 times,
    larger ones 130,000 times.
    """
    seen = 130_000 if not facts.small else 500_000 if facts.channels == 3 else 270_000
    most = 40 if facts.small else 100
    return float(min(most, max(4, round(seen / facts.train_images))))


def _model_defaults(view: View, facts: DataFacts) -> dict[str, Default]:
    name, small, size = view["model.name"], facts.small, f"images of {facts.side} px"
    widths = {"mlp": 512, "convnet": 64 if facts.channels == 3 else 32, "resnet": 32}
    depths = {"mlp": 2, "convnet": 3, "resnet": 3 if small else 4}
    defaults = {
        "model.activation": Default("silu" if name == "convnet" else "relu"),
        "model.init": Default("dirac" if name == "convnet" else "he"),
        "model.norm": Default("batch"),
        # Grey images of one object need far fewer filters than colour photographs.
        "model.width": Default(
            widths[name], ("colour images" if facts.channels == 3 else "grey images") if name == "convnet" else ""
        ),
        "model.depth": Default(depths[name], size if name == "resnet" else ""),
    }
    if name != "mlp":
        stem = "large" if not small else "whitening" if name == "convnet" else "small"
        defaults["model.stem"] = Default(stem, size)
    return defaults


def defaults(view: View, facts: DataFacts) -> Defaults:
    """Return what is chosen where nothing is said."""
    # Muon gives matrices a fixed norm, which changes nothing only where a normalisation layer follows.
    plain = view["model.norm"] == "none"
    optimizer = Default("adamw" if plain else "muon", "no normalisation" if plain else "")
    return {**_model_defaults(view, facts), **training_defaults(view, facts, optimizer=optimizer)}


def training_defaults(view: View, facts: DataFacts, *, optimizer: Default) -> Defaults:
    """Return what is chosen of training and regularisation, with the optimiser that suits the network."""
    name, small = view["model.name"], facts.small
    flip = view["reg.flip"] or ("alternating" if facts.flip_invariant else "none")
    closure = view.optimizer is not None and view.optimizer.closure
    batch = min(facts.train_images, LARGE_BATCH) if closure else batch_size(facts)
    crop = 0 if name == "mlp" or view["reg.resized_crop"] is not None else crop_padding(facts)
    fixed = "an mlp looks at fixed positions" if name == "mlp" else ""
    muon = (view["optim.name"] or optimizer.value) == "muon"
    found = {
        "reg.label_smoothing": Default(0.2 if muon and small else 0.1),
        "reg.crop_padding": Default(crop, fixed or ("resized crops" if crop == 0 else f"images of {facts.side} px")),
        "reg.flip": Default(flip, "" if facts.flip_invariant else "a mirrored image may mean something else"),
        "optim.name": optimizer,
        "train.batch_size": Default(
            batch, "a closure's curvature" if closure else f"{facts.train_images:,} training images"
        ),
        # Curvature learnt at one size is not that at another.
        "train.initial_resolution": Default(
            facts.side if closure or name == "mlp" else initial_resolution(facts), fixed or f"images of {facts.side} px"
        ),
        "train.ema": Default(0.0),
        "train.tta": Default(
            "none" if flip == "none" or name == "mlp" else "flip_shift" if small else "flip",
            "no flips" if flip == "none" else fixed,
        ),
    }
    if view["train.snapshots"] > 1:
        found["optim.schedule"] = Default("cosine", "a cycle a snapshot")
    return found


USUAL_MODELS = ("convnet", "resnet")
"""Those that `default_model` chooses among."""


def default_model(facts: DataFacts) -> Default:
    """Return the model of a run whose user named none."""
    if facts.small:
        return Default("convnet", f"images of up to {SMALL} px")
    return Default("resnet", f"images of more than {SMALL} px")


FIGURES = (
    Metric("log_loss", higher=False, unit="nats"),
    Metric("ece", higher=False),
    Metric("balanced_accuracy", higher=True),
    Metric("macro_f1", higher=True),
)
"""By which classifiers of every family can be compared, beside accuracy."""

VERBS = frozenset({"evaluate", "explain", "predict"})

FAMILY = Family(
    name="classifiers",
    implementation="seewhy.models.classifiers.family:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=usual_epochs,
    reg=ClassifierReg,
    train=ClassifierTrain,
    ensemble=True,
    optimizers=("muon", "adamw"),
    metric=Metric("accuracy", higher=True),
    figures=FIGURES,
    models=(
        Model(
            name="mlp",
            section=MLP,
            verbs=VERBS,
            summary="fully connected layers",
            formula="flatten -> depth x [linear, norm, activation] -> linear",
            source="Rumelhart et al. 1986",
            good_for="studying activations, initialisation and optimisers; tiny images",
            bad_for="accuracy on images: it has to learn every position anew",
            claims=("C02", "C09", "C10"),
        ),
        Model(
            name="convnet",
            section=ConvNet,
            verbs=VERBS,
            summary="plain convolutions behind a whitening layer, fast on small images",
            formula="stem -> depth x [conv3x3, max-pool, norm, activation, conv3x3, norm, activation] -> global max -> linear",
            source="LeCun et al. 1998; Jordan 2024, 2404.00498",
            good_for="images of up to 64 pixels and few epochs",
            bad_for="many layers: there are no shortcuts",
        ),
        Model(
            name="resnet",
            section=ResNet,
            verbs=VERBS,
            summary="residual network: layers beside shortcuts",
            formula="stem -> depth stages of 2 blocks y = f(F(x) + s(x)) -> global average -> linear",
            source="He et al. 2016, 1512.03385",
            good_for="larger images, depth",
            bad_for="the first minutes on tiny images, where convnet is ahead",
        ),
    ),
)
