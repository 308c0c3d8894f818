"""What a network is trained to do: its loss, its figures, and how the two treat a batch.

A task owns no weights. The loop asks it for a loss and for figures on validation data; evaluation and prediction ask the recognisers' task for
probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Task(Protocol):
    """What the loop asks for.

    Attributes:
        columns: the figures of a step, as means over images; the first is a loss.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the figures."""

    def losses(
        self, network: Callable[..., Any], images: Tensor, labels: Tensor, targets: Tensor, done: float, /
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss over a batch with its graph, and the columns' sums over the batch, detached.

        Args:
            network: the network in training.
            images: uint8 (N, C, H, W).
            labels: int64 (N).
            targets: the labels, or target probabilities (N, K).
            done: share of the run's steps that were taken.
        """

    def score(self, row: Mapping[str, float]) -> list[float]:
        """Return how good an epoch's row of validation figures is: the larger the better."""


Tta = Literal["none", "flip", "flip_shift"]


@dataclass(frozen=True)
class Recognition:
    """Classification of images into K classes by softmax.

    Loss, with smoothing s: -sum_k q_k log p_k, q = (1 - s) onehot(y) + s / K, mean over the batch, in nats
    (Szegedy et al. 2016, 1512.00567). Prediction averages the probabilities of several views of the image.

    Attributes:
        label_smoothing: s, within [0, 1).
        tta: test-time views, of equal weight: the image; with its mirror image; or with both and the image shifted by one pixel to the
            lower right and the mirror image shifted to the upper left (reflected border).
    """

    label_smoothing: float = 0.0
    tta: Tta = "none"

    columns = ("loss", "accuracy")

    def losses(
        self, network: Callable[..., Any], images: Tensor, labels: Tensor, targets: Tensor, _done: float, /
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and log-loss (nats) and right answers summed over the batch."""
        logits = network(images)
        return self.loss(logits, targets), self.seen(logits.detach(), labels)

    def seen(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return log-loss (nats) and right answers, summed over a batch, float32 (2)."""
        correct = (logits.argmax(dim=1) == labels).sum()
        return torch.stack([self.log_loss(logits, labels) * len(labels), correct.float()])

    def score(self, row: Mapping[str, float]) -> list[float]:
        """Rank by accuracy and, for ties, by the loss."""
        return [row["val_accuracy"], -row["val_loss"]]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean smoothed cross-entropy of logits (N, K) against labels (N), or against target probabilities (N, K)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def log_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of -log p(true class), without smoothing, so that training and validation can be compared."""
        return F.cross_entropy(logits.detach().float(), labels)

    def probabilities(self, model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return class probabilities (N, K), float32, of uint8 images (N, C, H, W), averaged over the views."""
        views = _views(images, self.tta)
        return torch.stack([model(view).float().softmax(dim=1) for view in views]).mean(dim=0)


def _views(images: Tensor, tta: Tta) -> list[Tensor]:
    """Return the views that are averaged."""
    if tta == "none":
        return [images]
    mirrored = images.flip(3)
    if tta == "flip":
        return [images, mirrored]
    return [images, mirrored, _shift(images, 1), _shift(mirrored, -1)]


def _shift(images: Tensor, pixels: int) -> Tensor:
    """Return the images moved to the lower right by so many pixels (negative: to the upper left), borders reflected."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - pixels
    columns = torch.arange(width, device=images.device) - pixels
    rows = (height - 1) - ((height - 1) - rows.abs()).abs()
    columns = (width - 1) - ((width - 1) - columns.abs()).abs()
    return images.index_select(2, rows).index_select(3, columns)
