"""What does not go together, whatever the model: each rule yields a message. A family adds its own."""

from __future__ import annotations

from collections.abc import Iterator

from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Family
from seewhy.spec.view import View


def broken_rules(view: View, family: Family) -> Iterator[str]:
    """Yield what is wrong between the fields of a specification, nothing if all is well."""
    yield from _budget(view)
    if (view["reg.saturation"] > 0 or view["reg.hue"] > 0) and view["data.channels"] == 1:
        yield "reg.saturation, reg.hue: grey images have neither, but data.channels is 1; set both to 0"
    if view["reg.penalise_all"] and not (view["reg.l1"] or view["reg.l2"]):
        yield "reg.penalise_all: needs a penalty, but reg.l1 and reg.l2 are 0; raise one of them or leave it out"
    yield from _data(view)
    yield from _searching(view, family)
    yield from family.rules(view)


def _budget(view: View) -> Iterator[str]:
    epochs, minutes, patience = view["train.epochs"], view["train.minutes"], view["train.patience"]
    if epochs is not None and minutes is not None:
        yield (
            f"train.minutes: cannot be {minutes} while train.epochs is {epochs}; "
            "a budget is in epochs or in minutes: give one"
        )
    val, test = view["data.val_fraction"], view["data.test_fraction"]
    if (0.1 if val is None else val) + test >= 1:
        yield (
            f"data.test_fraction: {test} and data.val_fraction {0.1 if val is None else val} leave no training images; "
            "their sum must be less than 1"
        )
    if patience is not None and val == 0:
        yield (
            f"train.patience: {patience} needs validation data, but data.val_fraction is 0; raise it or leave patience out"
        )


def _data(view: View) -> Iterator[str]:
    """Yield what does not go together of folds. Whether a source has columns, the data room sees."""
    folds, fold = view["data.folds"], view["data.fold"]
    if fold > (folds or 1):
        yield f"data.fold: must be at most data.folds ({folds or 'none'}), got {fold}"
    if folds is not None and view["data.val_fraction"] is not None:
        yield f"data.val_fraction: one of {folds} folds is for validation; leave one of the two out"


def _searching(view: View, family: Family) -> Iterator[str]:
    """Yield what does not go with an optimiser that searches along the loss."""
    if view.optimizer is None or not view.optimizer.closure:
        return
    name = view["optim.name"]
    if not family.closures:
        yield f"optim.name: {name} is not for {family.name}; choose a first-order optimiser"
    if view["reg.l1"] or view["reg.max_norm"] is not None:
        yield (
            f"reg.l1, reg.max_norm: change the weights after a step, but {name} learns from where its steps end; "
            "choose reg.l2 or a first-order optimiser"
        )
    c1, c2 = view["optim.c1"], view["optim.c2"]
    if c1 is not None and c2 is not None and c1 >= c2:
        yield f"optim.c1: must be less than optim.c2 ({c2}), got {c1}"


def misfits(view: View, facts: DataFacts) -> Iterator[str]:
    """Yield what was asked for and does not fit the data."""
    least = min(facts.height, facts.width)
    if facts.channels == 1 and (view["reg.saturation"] > 0 or view["reg.hue"] > 0):
        yield "reg.saturation, reg.hue: the images are grey and have neither; set both to 0 or data.channels to 3"
    if facts.classes == 1 and view["data.balance"] != "none":
        yield "data.balance: all images are of one class; leave it out"
    if view["model.stem"] == "whitening" and not facts.small:
        yield (
            f"model.stem: 'whitening' is for images of up to 64 pixels, but these have {facts.side}; "
            "choose 'large', or a smaller data.resolution"
        )
    padding, initial, batch = view["reg.crop_padding"], view["train.initial_resolution"], view["train.batch_size"]
    if padding is not None and padding >= least:
        yield f"reg.crop_padding: must be less than the images' side ({least}), got {padding}"
    cutout = view["reg.cutout.size"]
    if cutout is not None and cutout > least:
        yield f"reg.cutout.size: must be at most the images' side ({least}), got {cutout}"
    if initial is not None and initial > facts.side:
        yield f"train.initial_resolution: must be at most the images' side ({facts.side}), got {initial}"
    if batch is not None and batch > facts.train_images:
        yield f"train.batch_size: must be at most the number of training images ({facts.train_images}), got {batch}"
