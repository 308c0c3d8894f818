"""The one description of a run, shared by the command line, Python and the run folder.

A `RunSpec` says *what* is wanted; None means "choose from the data". `training.defaults.resolve` fills every None, and the resolved
specification is written to the run folder, so that the same file repeats the run. The module imports no torch: help
texts and errors come at once. The names in the Literal types are those of the registries (a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from seewhy.core.errors import InputError, nearest
from seewhy.core.spec import Strict, fields_of

ModelName = Literal["mlp", "convnet", "resnet"]
ActivationName = Literal["relu", "leaky_relu", "prelu", "elu", "tanh", "sigmoid", "gelu", "silu"]
InitName = Literal["normal", "lecun", "xavier", "he", "orthogonal", "dirac"]
NormName = Literal["batch", "layer", "group", "none"]
StemName = Literal["whitening", "small", "large"]
OptimName = Literal["muon", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
ScheduleName = Literal["triangle", "one_cycle", "cosine", "linear", "constant"]

WITH_MOMENTUM = ("muon", "momentum", "nesterov", "rmsprop")


class DataSpec(Strict):
    """Which pictures are read, at what size, and how they are split."""

    resolution: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="Side in pixels at which pictures are trained (default: their own size up to 64, else 128).",
    )
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour (default: what the files are).")
    val_fraction: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the training images held out for validation (default: 10%, at most 2,000 images).",
    )
    test_fraction: float = Field(
        0.15, ge=0, lt=1, description="Share held out for testing where the data bring no test part."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split.")
    cache: Literal["pixels", "bytes"] = Field(
        "pixels", description="Keep decoded pixels, or encoded bytes that are decoded for each batch (for big sets)."
    )
    strict: bool = Field(False, description="Stop at an unreadable file instead of leaving it out.")


class ModelSpec(Strict):
    """The network, built from named choices."""

    name: ModelName | None = Field(None, description="Architecture (default: convnet up to 64 pixels, resnet above).")
    activation: ActivationName | None = Field(None, description="Activation function.")
    init: InitName | None = Field(None, description="Weight initialisation.")
    norm: NormName | None = Field(
        None, description="Normalisation between convolution (or linear) layer and activation."
    )
    width: int | None = Field(
        None, ge=1, le=65536, description="Channels of the first group (mlp: units of a hidden layer)."
    )
    depth: int | None = Field(None, ge=1, le=200, description="Groups of layers (mlp: hidden layers).")
    stem: StemName | None = Field(None, description="First layers: whitening or small up to 64 pixels, large above.")


class RegSpec(Strict):
    """Against overfitting: what the training images and targets go through, and dropout."""

    label_smoothing: float | None = Field(
        None, ge=0, lt=1, description="Probability taken from the true class and spread over all."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Probability with which a unit is dropped before the output layer."
    )
    crop_padding: int | None = Field(None, ge=0, le=256, description="Pixels of reflected border for the random crop.")
    flip: Literal["none", "random", "alternating"] | None = Field(
        None, description="Horizontal flips: none, random, or alternating with the epoch."
    )
    brightness: float = Field(0.0, ge=0, le=1, description="Brightness jitter: factor within 1 +- this.")
    contrast: float = Field(0.0, ge=0, le=1, description="Contrast jitter: factor within 1 +- this.")
    saturation: float = Field(0.0, ge=0, le=1, description="Saturation jitter: factor within 1 +- this.")
    hue: float = Field(0.0, ge=0, le=0.5, description="Hue jitter: shift within +- this share of the circle.")


class OptimSpec(Strict):
    """How the weights move."""

    name: OptimName | None = Field(None, description="Optimiser.")
    lr: float | None = Field(None, gt=0, description="Peak learning rate (default: the optimiser's own).")
    momentum: float | None = Field(None, ge=0, lt=1, description=f"Momentum, for {', '.join(WITH_MOMENTUM)}.")
    weight_decay: float | None = Field(
        None, ge=0, description="Weight decay of matrices and filters; biases and norms have none."
    )
    schedule: ScheduleName | None = Field(None, description="Learning rate over the run.")
    warmup: float | None = Field(None, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")


class TrainSpec(Strict):
    """Budget, precision, seeds, averaging and checkpoints."""

    epochs: float | None = Field(
        None, gt=0, description="Budget in passes over the training images; may be fractional."
    )
    minutes: float | None = Field(
        None, gt=0, description="Budget in minutes: the epochs that fit are worked out at the start."
    )
    batch_size: int | None = Field(None, ge=1, description="Images a step, over all processes.")
    early_resolution: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="Side in pixels at which the first part of the run sees the pictures; the full side is off.",
    )
    early_fraction: float = Field(
        0.6, ge=0, le=1, description="Share of the steps that are taken at train.early_resolution."
    )
    seed: int = Field(0, ge=0, description="Seed of weights, order and augmentation.")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="bf16 where the hardware is fast at it, else fp32."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    threads: int | None = Field(None, ge=1, description="Processor threads (default: all cores).")
    ema: float | None = Field(
        None, ge=0, lt=1, description="Decay a step of the averaged weights used for prediction; 0 is off."
    )
    tta: Literal["none", "flip", "flip_shift"] | None = Field(
        None, description="Average predictions over mirrored, or mirrored and shifted, views."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many epochs without a better validation accuracy."
    )
    checkpoint_seconds: float = Field(30.0, ge=0, description="Seconds between checkpoints within an epoch.")
    tensorboard: bool = Field(False, description="Also write TensorBoard event files.")


class RunSpec(Strict):
    """One run: the data and every choice. Frozen; unknown fields are refused."""

    source: str = Field(description="A folder of class folders, a built-in name, or an .npz file.")
    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    reg: RegSpec = RegSpec()
    optim: OptimSpec = OptimSpec()
    train: TrainSpec = TrainSpec()

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        """Refuse combinations that cannot work, before any work."""
        for wrong, message in _impossible(self):
            if wrong:
                raise ValueError(message)
        return self


def _impossible(spec: RunSpec) -> list[tuple[bool, str]]:
    """List the rules between fields: (is it broken, what to say)."""
    data, model, reg, optim, train = spec.data, spec.model, spec.reg, spec.optim, spec.train
    side, colour = data.resolution or 0, reg.saturation > 0 or reg.hue > 0
    val = data.val_fraction if data.val_fraction is not None else 0.1
    early = train.early_resolution
    return [
        (
            early is not None and data.resolution is not None and early > data.resolution,
            f"train.early_resolution: must be at most data.resolution ({data.resolution}), got {early}",
        ),
        (
            early is not None and model.name == "mlp" and early != data.resolution,
            f"train.early_resolution: an mlp takes pictures of one size, got {early}; leave it out",
        ),
        (not spec.source.strip(), "source: must be a folder, a built-in name or an .npz file, got ''"),
        (
            train.epochs is not None and train.minutes is not None,
            f"train.minutes: cannot be {train.minutes} while train.epochs is {train.epochs}; a budget is in epochs or in minutes: give one",
        ),
        (
            val + data.test_fraction >= 1,
            f"data.test_fraction: {data.test_fraction} and data.val_fraction {val} leave no training images; their sum must be less than 1",
        ),
        (
            train.patience is not None and data.val_fraction == 0,
            f"train.patience: {train.patience} needs validation data, but data.val_fraction is 0; raise it or leave patience out",
        ),
        (
            train.patience is not None and train.epochs is not None and train.patience >= train.epochs,
            f"train.patience: must be less than train.epochs ({train.epochs}), got {train.patience}",
        ),
        (
            model.name in ("mlp", "resnet") and model.stem == "whitening",
            f"model.stem: 'whitening' belongs to convnet, but model.name is {model.name!r}; choose convnet or another stem",
        ),
        (
            model.name == "mlp" and model.stem is not None,
            f"model.stem: an mlp has no stem, got {model.stem!r}; leave it out",
        ),
        (
            model.name == "mlp" and model.init == "dirac",
            "model.init: 'dirac' is for convolutions, but model.name is 'mlp'; choose he, xavier, lecun, orthogonal or normal",
        ),
        (
            model.stem == "whitening" and side > 64,
            f"model.stem: 'whitening' is for pictures of up to 64 pixels, but data.resolution is {side}; choose 'large'",
        ),
        (
            optim.momentum is not None and optim.name is not None and optim.name not in WITH_MOMENTUM,
            f"optim.momentum: {optim.name} has none, got {optim.momentum}; it belongs to {', '.join(WITH_MOMENTUM)}",
        ),
        (
            colour and data.channels == 1,
            "reg.saturation, reg.hue: grey pictures have neither, but data.channels is 1; set both to 0",
        ),
        (
            train.tta in ("flip", "flip_shift") and reg.flip == "none",
            f"train.tta: {train.tta!r} averages over mirrored pictures, but reg.flip is 'none'; choose 'none' or let training flip",
        ),
        (
            data.resolution is not None and reg.crop_padding is not None and reg.crop_padding >= side,
            f"reg.crop_padding: must be less than data.resolution ({side}), got {reg.crop_padding}",
        ),
    ]


ALIASES: dict[str, str] = {
    "epochs": "train.epochs",
    "minutes": "train.minutes",
    "batch_size": "train.batch_size",
    "seed": "train.seed",
    "precision": "train.precision",
    "device": "train.device",
    "ema": "train.ema",
    "patience": "train.patience",
    "activation": "model.activation",
    "init": "model.init",
    "norm": "model.norm",
    "width": "model.width",
    "depth": "model.depth",
    "optimizer": "optim.name",
    "lr": "optim.lr",
    "weight_decay": "optim.weight_decay",
    "dropout": "reg.dropout",
    "label_smoothing": "reg.label_smoothing",
    "flip": "reg.flip",
    "resolution": "data.resolution",
    "tensorboard": "train.tensorboard",
}
"""Short names of the fields that people use most; the same on the command line and in Python."""


def make_spec(source: str, options: Mapping[str, Any]) -> RunSpec:
    """Build a RunSpec from keyword options: aliases, dotted paths, or sections as dictionaries.

    Args:
        source: folder, built-in name or .npz file.
        options: such as `{"activation": "elu", "train.epochs": 3, "model": {"width": 32}}`; `model="resnet"` is short for
            `model.name`.

    Raises:
        InputError: an option is unknown, given twice, or wrong.
    """
    return RunSpec.from_dict({"source": source}).with_changes(dotted_options(options))


def build_spec(source: str | Path | None, spec: str | Path | None, options: Mapping[str, Any]) -> RunSpec:
    """Build a RunSpec from a file, a source and options; the later override the earlier.

    Raises:
        InputError: there is neither a file nor a source, or something in them is wrong.
    """
    if spec is not None:
        changes = dotted_options(options)
        for given, other in (("train.minutes", "train.epochs"), ("train.epochs", "train.minutes")):
            if given in changes:  # replaces the file's budget, in whichever unit that is
                changes = {other: None, **changes}
        return RunSpec.from_toml(Path(spec)).with_changes(
            {**changes, **({"source": str(source)} if source is not None else {})}
        )
    if source is None:
        raise InputError("source: is required; name a folder of class folders, a built-in name, or an .npz file")
    return make_spec(str(source), options)


def dotted_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn aliases and sections into dotted paths; raises InputError for unknown names and for a field given twice."""
    sections = {name for name in RunSpec.model_fields if name != "source"}
    changes: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and name in sections:
            pairs = [(f"{name}.{field}", item) for field, item in value.items()]
        elif name in ("model", "optim"):
            pairs = [(f"{name}.name", value)]
        elif name in ALIASES or "." in name:
            pairs = [(ALIASES.get(name, name), value)]
        else:
            known = [*ALIASES, *sections, *fields_of(RunSpec)]
            hint = nearest(name, known)
            ask = f"; did you mean {hint!r}?" if hint else f"; short names are {', '.join(ALIASES)}"
            raise InputError(f"{name}: there is no such option{ask}")
        for path, item in pairs:
            if path in changes:
                raise InputError(f"{path}: is given twice, as {changes[path]!r} and as {item!r}; give it once")
            changes[path] = item
    return changes


def names_of(choice: Any) -> tuple[str, ...]:
    """Return the names in a Literal type."""
    return tuple(get_args(choice))
