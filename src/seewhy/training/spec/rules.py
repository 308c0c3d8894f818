"""What does not go together: each rule between fields is a function that yields a message for what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from seewhy.training.spec.sections import (
    SECOND_ORDER,
    WITH_MOMENTUM,
    DataSpec,
    EnsembleSpec,
    ModelSpec,
    OptimSpec,
    RegSpec,
    TrainSpec,
)


def broken_rules(
    source: str,
    data: DataSpec,
    model: ModelSpec,
    reg: RegSpec,
    optim: OptimSpec,
    train: TrainSpec,
    ensemble: EnsembleSpec,
) -> Iterator[str]:
    """Yield what is wrong between the fields of a specification, nothing if all is well."""
    if not source.strip():
        yield "source: must be a folder, a built-in name or an .npz file, got ''"
    yield from _budget(data, train)
    yield from _network(data, model)
    yield from _pictures(data, model, reg, train)
    if ensemble.members == 1 and (ensemble.edits or ensemble.jobs):
        yield "ensemble: edits and jobs belong to several members, but ensemble.members is 1; raise it or leave them out"
    yield from _snapshots(optim, train, ensemble)
    if optim.weight_decay and optim.name in SECOND_ORDER:
        yield (
            f"optim.weight_decay: must be 0 for {optim.name}, which searches along a line, got {optim.weight_decay}; "
            "put the penalty into the loss: reg.l2"
        )
    if optim.name in SECOND_ORDER and (reg.l1 or reg.max_norm is not None):
        yield (
            f"reg.l1, reg.max_norm: change the weights after a step, but {optim.name} learns from where its steps end; "
            "choose reg.l2 or a first-order optimiser"
        )
    if reg.dropout_kind != "inverted" and not (reg.dropout or reg.input_dropout):
        yield f"reg.dropout_kind: {reg.dropout_kind!r} needs dropout, but reg.dropout and reg.input_dropout are 0; raise one or leave it out"
    if reg.dropconnect_shared > 1 and not reg.dropconnect:
        yield f"reg.dropconnect_shared: {reg.dropconnect_shared} needs reg.dropconnect, which is 0; raise it or leave this out"
    if reg.stochastic_depth and model.name in ("mlp", "convnet"):
        yield (
            f"reg.stochastic_depth: skips residual blocks, which a {model.name} does not have; choose resnet or leave it out"
        )
    if model.pool != "max" and model.name in ("mlp", "resnet"):
        yield f"model.pool: {model.pool!r} is for convnet, but model.name is {model.name!r}; choose convnet or max"
    if reg.penalise_all and not (reg.l1 or reg.l2):
        yield "reg.penalise_all: needs a penalty, but reg.l1 and reg.l2 are 0; raise one of them or leave it out"
    if optim.momentum is not None and optim.name is not None and optim.name not in WITH_MOMENTUM:
        yield f"optim.momentum: {optim.name} has none, got {optim.momentum}; it belongs to {', '.join(WITH_MOMENTUM)}"


def _snapshots(optim: OptimSpec, train: TrainSpec, ensemble: EnsembleSpec) -> Iterator[str]:
    if train.snapshots == 1:
        return
    if ensemble.members > 1:
        yield f"train.snapshots: {train.snapshots} snapshots of {ensemble.members} members are one ensemble too many; choose one of the two"
    if optim.schedule not in (None, "cosine"):
        yield f"train.snapshots: the rate falls along cosines, but optim.schedule is {optim.schedule!r}; choose cosine or leave it out"
    if train.patience is not None:
        yield f"train.snapshots: each cycle begins with a worse network, so train.patience {train.patience} would stop it; leave one out"


def _budget(data: DataSpec, train: TrainSpec) -> Iterator[str]:
    if train.epochs is not None and train.minutes is not None:
        yield (
            f"train.minutes: cannot be {train.minutes} while train.epochs is {train.epochs}; "
            "a budget is in epochs or in minutes: give one"
        )
    val = data.val_fraction if data.val_fraction is not None else 0.1
    if val + data.test_fraction >= 1:
        yield (
            f"data.test_fraction: {data.test_fraction} and data.val_fraction {val} leave no training images; "
            "their sum must be less than 1"
        )
    if train.patience is not None and data.val_fraction == 0:
        yield (
            f"train.patience: {train.patience} needs validation data, but data.val_fraction is 0; "
            "raise it or leave patience out"
        )
    if train.patience is not None and train.epochs is not None and train.patience >= train.epochs:
        yield f"train.patience: must be less than train.epochs ({train.epochs}), got {train.patience}"


def _network(data: DataSpec, model: ModelSpec) -> Iterator[str]:
    if model.name in ("mlp", "resnet") and model.stem == "whitening":
        yield (
            f"model.stem: 'whitening' belongs to convnet, but model.name is {model.name!r}; choose convnet or another stem"
        )
    elif model.name == "mlp" and model.stem is not None:
        yield f"model.stem: an mlp has no stem, got {model.stem!r}; leave it out"
    if model.pieces is not None and model.activation != "maxout":
        yield (
            f"model.pieces: only maxout has pieces, but model.activation is {model.activation or 'left to the defaults'}; "
            "choose maxout or leave pieces out"
        )
    if model.keep_parameters and model.activation != "maxout":
        yield (
            f"model.keep_parameters: only maxout has more weights than others, but model.activation is "
            f"{model.activation or 'left to the defaults'}; choose maxout or leave it out"
        )
    if model.shared and model.activation != "prelu":
        yield (
            f"model.shared: only prelu has a slope to share, but model.activation is {model.activation or 'left to the defaults'}; "
            "choose prelu or leave it out"
        )
    if model.init_std is not None and model.init != "normal":
        yield (
            f"model.init_std: only 'normal' has a fixed deviation, but model.init is {model.init or 'left to the defaults'}; "
            "choose normal or leave it out"
        )
    if model.name == "mlp" and model.norm == "instance":
        yield (
            "model.norm: 'instance' normalises over the places of a map, but model.name is 'mlp'; choose batch, layer or group"
        )
    if model.norm_init == "identity" and model.norm not in (None, "batch"):
        yield (
            f"model.norm_init: 'identity' is a start of batch normalisation, but model.norm is {model.norm!r}; "
            "choose batch or standard"
        )
    if model.name == "mlp" and model.init == "dirac":
        yield (
            "model.init: 'dirac' is for convolutions, but model.name is 'mlp'; "
            "choose he, xavier, lecun, orthogonal or normal"
        )
    if model.stem == "whitening" and (data.resolution or 0) > 64:
        yield (
            f"model.stem: 'whitening' is for pictures of up to 64 pixels, but data.resolution is {data.resolution}; "
            "choose 'large'"
        )


def _pictures(data: DataSpec, model: ModelSpec, reg: RegSpec, train: TrainSpec) -> Iterator[str]:
    early = train.early_resolution
    if early is not None and data.resolution is not None and early > data.resolution:
        yield f"train.early_resolution: must be at most data.resolution ({data.resolution}), got {early}"
    if early is not None and model.name == "mlp" and early != data.resolution:
        yield f"train.early_resolution: an mlp takes pictures of one size, got {early}; leave it out"
    if reg.crop_padding and reg.resized_crop is not None:
        yield (
            f"reg.resized_crop: replaces the padded crop, but reg.crop_padding is {reg.crop_padding}; set that to 0 or leave one out"
        )
    if reg.cutout and reg.erasing:
        yield "reg.cutout, reg.erasing: both make a hole in the image; choose one"
    if reg.mixup and reg.cutmix:
        yield "reg.mixup, reg.cutmix: both mix pairs of images; choose one"
    if (reg.saturation > 0 or reg.hue > 0) and data.channels == 1:
        yield "reg.saturation, reg.hue: grey pictures have neither, but data.channels is 1; set both to 0"
    if train.tta in ("flip", "flip_shift") and reg.flip == "none":
        yield (
            f"train.tta: {train.tta!r} averages over mirrored pictures, but reg.flip is 'none'; "
            "choose 'none' or let training flip"
        )
    if data.resolution is not None and reg.crop_padding is not None and reg.crop_padding >= data.resolution:
        yield f"reg.crop_padding: must be less than data.resolution ({data.resolution}), got {reg.crop_padding}"
