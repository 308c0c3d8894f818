"""How good a recogniser is: probabilities over a part of the data, and the figures computed from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.data import Part
from seewhy.training.fabric import Engine
from seewhy.training.tasks import Recognition

BATCH = 500
"""Images a forward pass; predictions do not depend on it, since evaluation uses running statistics."""


@torch.no_grad()
def predict_part(
    engine: Engine, task: Recognition, model: nn.Module, part: Part, progress: Callable[[int], None] | None = None
) -> Tensor:
    """Return class probabilities (N, K), float32 on the CPU, of every image of a part, in its order.

    Every process computes its share; all get the whole. `progress` is told the images done so far.
    """
    model.eval()
    mine = torch.arange(engine.rank, len(part), engine.world)
    found = []
    for chunk in torch.split(mine, BATCH):
        images = part.images(chunk).to(engine.device, non_blocking=True)
        with engine.autocast():
            found.append(task.probabilities(model, images))
        if progress is not None:
            progress(int(chunk[-1]) + 1)
    return engine.gather_rows(torch.cat(found)).cpu()


def mean_scores(engine: Engine, task: Recognition, model: nn.Module, part: Part) -> tuple[float, float]:
    """Return the mean log-loss (nats) and the accuracy on a part."""
    probabilities = predict_part(engine, task, model, part)
    return log_loss(probabilities, part.labels), (probabilities.argmax(1) == part.labels).float().mean().item()


def entropy(probabilities: Tensor) -> Tensor:
    """Return -sum_k p_k log p_k in nats over the last axis, 0 log 0 = 0."""
    each: Tensor = torch.special.entr(probabilities)
    return each.sum(-1)


def disagreement(members: Tensor) -> Tensor:
    """Return the mutual information between the prediction and the member, nats, of probabilities (M, N, K): shape (N).

    I = H(p) - mean over m of H(p_m), with p the mean over m of p_m and H the entropy (Houlsby et al. 2011, 1112.5745): 0 where all
    members say the same, however unsure they are.
    """
    return (entropy(members.mean(0)) - entropy(members).mean(0)).clamp_min(0.0)


def log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean of -log p(true class) in nats; probabilities are floored at 1e-12 so that one error cannot be infinite."""
    return -probabilities.gather(1, labels[:, None]).clamp_min(1e-12).log().mean().item()


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95% score interval of a proportion (Wilson 1927), which stays within [0, 1] and is honest near its ends.

    centre = (p + z^2/2n) / (1 + z^2/n);  half = z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n)
    """
    share = successes / n
    spread = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / spread
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / spread
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Evaluation:
    """The figures of one part of the data.

    Attributes:
        part: "val" or "test".
        classes: the K class names.
        n: images.
        accuracy: share of images whose likeliest class is right, with its 95% Wilson `interval`.
        top5: share whose true class is among the five likeliest; None where K <= 5.
        log_loss: mean -log p(true class), nats.
        ece: expected calibration error over 15 bins of confidence (Guo et al. 2017, 1706.04599).
        confusion: K x K counts, rows are true classes.
        per_class: precision, recall, F1 and count of each class (None where it is undefined: no such prediction or image).
        calibration: bins of confidence with mean confidence, accuracy, its interval and count.
        ensemble: of an ensemble, its members' figures, the gain over them, their disagreement, and accuracy by number of members.
    """

    part: str
    classes: tuple[str, ...]
    n: int
    accuracy: float
    interval: tuple[float, float]
    top5: float | None
    log_loss: float
    ece: float
    confusion: list[list[int]]
    per_class: list[dict[str, Any]]
    calibration: list[dict[str, float]]
    ensemble: dict[str, Any] | None = None

    def headline(self) -> dict[str, Any]:
        """Return the figures that fit on a line, for results.json."""
        figures = {
            "n": self.n,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "log_loss": self.log_loss,
            "ece": self.ece,
        }
        return figures if self.top5 is None else {**figures, "top5": self.top5}

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        figures = {name: value for name, value in vars(self).items() if name != "ensemble" or value is not None}
        return {**figures, "classes": list(self.classes), "interval": list(self.interval)}


def evaluate(part: str, classes: Sequence[str], probabilities: Tensor, labels: Tensor) -> Evaluation:
    """Compute every figure from class probabilities (N, K) and true classes (N)."""
    count, n = len(classes), len(labels)
    confusion = torch.bincount(labels * count + probabilities.argmax(1), minlength=count * count).reshape(count, count)
    right = int(confusion.diagonal().sum())
    bins = _calibration(probabilities, labels)
    return Evaluation(
        part=part,
        classes=tuple(classes),
        n=n,
        accuracy=right / n,
        interval=wilson_interval(right, n),
        top5=top_accuracy(probabilities, labels, 5) if count > 5 else None,
        log_loss=log_loss(probabilities, labels),
        ece=sum(row["n"] / n * abs(row["accuracy"] - row["confidence"]) for row in bins),
        confusion=confusion.tolist(),
        per_class=_per_class(classes, confusion),
        calibration=bins,
    )


def top_accuracy(probabilities: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of images whose true class is among the k likeliest."""
    return (probabilities.topk(k, dim=1).indices == labels[:, None]).any(1).float().mean().item()


def _per_class(classes: Sequence[str], confusion: Tensor) -> list[dict[str, Any]]:
    """Return precision, recall and F1 a class from the confusion matrix."""
    rows = []
    for index, name in enumerate(classes):
        right = int(confusion[index, index])
        actual, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
        precision = right / predicted if predicted else None
        recall = right / actual if actual else None
        f1 = 2 * right / (actual + predicted) if actual + predicted else None
        rows.append({"class": name, "n": actual, "precision": precision, "recall": recall, "f1": f1})
    return rows


def _calibration(probabilities: Tensor, labels: Tensor, bins: int = 15) -> list[dict[str, float]]:
    """Return the non-empty bins of equal width in confidence, lowest first."""
    confidence, predicted = probabilities.max(dim=1)
    right = predicted == labels
    places = (confidence * bins).long().clamp_(0, bins - 1)
    rows = []
    for place in torch.unique(places).tolist():
        inside = places == place
        n, hits = int(inside.sum()), int(right[inside].sum())
        low, high = wilson_interval(hits, n)
        mean = confidence[inside].mean().item()
        rows.append({"confidence": mean, "accuracy": hits / n, "n": n, "lo": low, "hi": high})
    return rows
