"""What classifiers are trained for: softmax and cross-entropy.

With smoothing s: loss = -sum_k q_k log p_k, q = (1 - s) onehot(y) + s / K, mean over the batch, in nats (Szegedy et al. 2016, 1512.00567).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.data import Augment, Cutout, Mix, RandomErasing, ResizedCrop, Split, class_weights
from seewhy.metrics import balanced_accuracy, confusion_matrix, log_loss, macro_f1
from seewhy.models.family import Engine, Inputs, Objective, StepResult, Update
from seewhy.models.predictor import view_probabilities
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.classifiers import ClassifierReg, ClassifierTrain

BATCH = 500
"""Images of a forward pass; predictions do not depend on it, since evaluation uses running statistics."""


def sections(spec: RunSpec) -> tuple[ClassifierReg, ClassifierTrain]:
    """Return the sections that classifiers have more fields in."""
    assert isinstance(spec.reg, ClassifierReg)
    assert isinstance(spec.train, ClassifierTrain)
    return spec.reg, spec.train


def cross_entropy(
    logits: Tensor, inputs: Inputs, *, label_smoothing: float = 0.0, weights: Tensor | None = None
) -> StepResult:
    """Return the smoothed loss; log-loss without smoothing and weights (nats) and right answers, summed.

    Args:
        logits: (N, K).
        inputs: whose targets are the labels (N), or probabilities (N, K).
        label_smoothing: s, within [0, 1).
        weights: w (K), by which each class's term of the sum over k is multiplied; None for 1.
    """
    if weights is None:
        loss = F.cross_entropy(logits, inputs.targets, label_smoothing=label_smoothing)
    else:  # over the number of images, not the sum of their weights: every process and every batch counts alike
        options: Any = {"weight": weights.to(logits.dtype), "label_smoothing": label_smoothing, "reduction": "sum"}
        loss = F.cross_entropy(logits, inputs.targets, **options) / len(inputs)
    plain = logits.detach()
    correct = (plain.argmax(dim=1) == inputs.labels).sum()
    sums = {"loss": F.cross_entropy(plain.float(), inputs.labels) * len(inputs), "accuracy": correct.float()}
    return StepResult(loss, sums, len(inputs))


def objective(spec: RunSpec, facts: DataFacts, mean: Sequence[float]) -> Objective:
    """Return what training a classifier needs to know."""
    reg, train = sections(spec)
    weighted = reg.class_weights != "none"
    criterion = partial(cross_entropy, label_smoothing=reg.label_smoothing)
    if weighted:
        criterion = partial(_weighted, _Placed(class_weights(facts.class_images, reg.class_weights)), criterion)
    updates = (Update("model", lambda network, inputs: network(inputs.images), criterion),)
    return Objective(
        metrics=("loss", "accuracy"),
        updates=lambda _step: updates,
        score=partial(_score, metric=train.metric),
        validate=_validate,
        augment=augmentation(reg, mean),
        mix=_mix(reg),
        initial_resolution=train.initial_resolution if train.initial_resolution < facts.side else None,
        initial_fraction=train.initial_fraction,
        snapshots=train.snapshots,
    )


def _weighted(placed: _Placed, criterion: Callable[..., StepResult], logits: Tensor, inputs: Inputs) -> StepResult:
    return criterion(logits, inputs, weights=placed.on(logits.device))


class _Placed:
    """A tensor that is copied to a device once, not in every step."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def on(self, device: torch.device) -> Tensor:
        self._tensor = self._tensor.to(device)
        return self._tensor


def _score(row: Mapping[str, float], *, metric: str) -> list[float]:
    """Rank by a metric and, for ties, by the loss."""
    return [-row["val_loss"]] if metric == "log_loss" else [row[f"val_{metric}"], -row["val_loss"]]


def augmentation(reg: ClassifierReg, mean: Sequence[float]) -> Augment:
    """Return the augmentation of a section; erased regions of cutout show the mean colour of the training images."""
    erase: Cutout | RandomErasing | None = None
    if reg.cutout is not None:
        erase = Cutout(size=reg.cutout.size, fill=tuple(mean))
    elif reg.erasing is not None:
        erase = RandomErasing(
            probability=reg.erasing.probability, area=reg.erasing.area, ratio=reg.erasing.ratio, fill="noise"
        )
    crop = reg.resized_crop
    return Augment(
        crop_padding=reg.crop_padding,
        flip=reg.flip,
        brightness=reg.brightness,
        contrast=reg.contrast,
        saturation=reg.saturation,
        hue=reg.hue,
        resized_crop=ResizedCrop(scale=crop.scale, ratio=crop.ratio) if crop is not None else None,
        erase=erase,
    )


def _mix(reg: ClassifierReg) -> Mix | None:
    """Return how pairs of images are mixed, None if they are not."""
    if reg.mixup:
        return Mix(alpha=reg.mixup, kind="mixup")
    return Mix(alpha=reg.cutmix, kind="cutmix") if reg.cutmix else None


@torch.no_grad()
def split_probabilities(
    engine: Engine,
    predict: Callable[[Tensor], Tensor],
    split: Split,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Return class probabilities (N, K), float32 on the CPU, of every image of a split, in its order.

    Every process computes its share; all get the whole.

    Args:
        engine: where.
        predict: from uint8 images on the engine's device to probabilities.
        split: the images.
        progress: told the images done so far.
    """
    own = torch.arange(engine.rank, len(split), engine.world)
    parts = []
    for rows in torch.split(own, BATCH):
        images = split.images(rows).to(engine.device, non_blocking=True)
        with engine.autocast():
            parts.append(predict(images))
        if progress is not None:
            progress(int(rows[-1]) + 1)
    return engine.gather_rows(torch.cat(parts)).cpu()


def _validate(engine: Engine, model: nn.Module, split: Split) -> dict[str, float]:
    """Return log-loss (nats), accuracy, balanced accuracy and macro F1; one view an image is enough to compare epochs, and leaves the time to
    training.
    """
    model.eval()
    single: Any = partial(view_probabilities, model, views="none")
    probabilities = split_probabilities(engine, single, split)
    confusion = confusion_matrix(probabilities, split.labels)
    return {
        "loss": log_loss(probabilities, split.labels),
        "accuracy": int(confusion.diagonal().sum()) / len(split),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_f1": macro_f1(confusion),
    }
