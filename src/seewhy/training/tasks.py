"""What a network is trained to do: its loss, its prediction, and how the two treat a batch.

A task owns no weights. The loop asks it for a loss; evaluation and prediction ask it for probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Tta = Literal["none", "flip", "flip_shift"]


@dataclass(frozen=True)
class Recognition:
    """Classification of images into K classes by softmax.

    Loss, with smoothing s: -sum_k q_k log p_k, q = (1 - s) onehot(y) + s / K, mean over the batch, in nats
    (Szegedy et al. 2016, 1512.00567). Prediction averages the probabilities of several views of the image.

    Attributes:
        label_smoothing: s, within [0, 1).
        tta: test-time views: the image; with its mirror image; or both also shifted by one pixel to the upper left and to the
            lower right (reflected border), the shifted views together weighing as much as the unshifted.
    """

    label_smoothing: float = 0.0
    tta: Tta = "none"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean smoothed cross-entropy of logits (N, K) against labels (N)."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def log_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of -log p(true class), without smoothing, so that training and validation can be compared."""
        return F.cross_entropy(logits.detach().float(), labels)

    def probabilities(self, model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return class probabilities (N, K), float32, of uint8 images (N, C, H, W), averaged over the views."""
        total: Tensor | None = None
        for weight, view in _views(images, self.tta):
            share = weight * model(view).float().softmax(dim=1)
            total = share if total is None else total + share
        assert total is not None
        return total


def _views(images: Tensor, tta: Tta) -> Iterator[tuple[float, Tensor]]:
    """Yield (weight, view); the weights sum to one."""
    if tta == "none":
        yield 1.0, images
        return
    shifted = tta == "flip_shift"
    for mirrored in (images, images.flip(3)):
        yield (0.25 if shifted else 0.5), mirrored
        if shifted:
            for view in _shifts(mirrored):
                yield 0.125, view


def _shifts(images: Tensor) -> Iterator[Tensor]:
    """Yield the images shifted by one pixel to the lower right and to the upper left, borders reflected."""
    height, width = images.shape[2:]
    for offset in (0, 2):
        rows = torch.arange(height, device=images.device) + offset - 1
        columns = torch.arange(width, device=images.device) + offset - 1
        rows = (height - 1) - ((height - 1) - rows.abs()).abs()
        columns = (width - 1) - ((width - 1) - columns.abs()).abs()
        yield images.index_select(2, rows).index_select(3, columns)
