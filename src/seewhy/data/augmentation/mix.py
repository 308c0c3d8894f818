"""Mixtures of two images of a batch, whose target is the mixture of their classes.

Each image is mixed with the next one in a random order of its batch: never itself, and the same one however the batch is arranged. The
random numbers are a pure function of (seed, epoch, sample ids of the batch).

Letters: N images, C channels, H height, W width, K classes, lambda the first image's share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.core.errors import bad_value, unknown_name
from seewhy.core.seeding import uniform
from seewhy.data.augmentation.boxes import Boxes
from seewhy.data.augmentation.chunks import as_bytes, chunks
from seewhy.data.augmentation.erase import replace_inside

Kind = Literal["mixup", "cutmix"]
KINDS: tuple[Kind, ...] = ("mixup", "cutmix")


class Mixed(NamedTuple):
    """A mixed batch; its loss is the mean of weight CE(logits, labels_a) + (1 - weight) CE(logits, labels_b).

    Attributes:
        images: uint8 (N, C, H, W), channels last.
        labels_a: int64 (N,), the classes of the first images, as they came.
        labels_b: int64 (N,), the classes of the second.
        weight: float32 (N,), lambda in [0, 1].
    """

    images: Tensor
    labels_a: Tensor
    labels_b: Tensor
    weight: Tensor

    def targets(self, classes: int) -> Tensor:
        """Return the target probabilities, float32 (N, K): the same loss as cross-entropy's second argument."""
        first, second = (F.one_hot(labels, classes) for labels in (self.labels_a, self.labels_b))
        return torch.lerp(second.float(), first.float(), self.weight[:, None])


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Mixup or CutMix with lambda from Beta(alpha, alpha), sampled for each image.

    - mixup (Zhang et al. 2018, 1710.09412): lambda a + (1 - lambda) b, rounded to whole levels, so that a batch stays uint8.
    - cutmix (Yun et al. 2019, 1905.04899): a, with a window of b that has the image's shape and a share 1 - lambda of its area around a centre
      sampled from all of its pixels; lambda is then set to the share of a that is left, since some of the window may lie outside.

    Attributes:
        alpha: above 0; 1 makes lambda uniform, less prefers images that are nearly whole.
        kind: "mixup" or "cutmix".

    Raises:
        InputError: alpha is out of range, or the kind is not known.
    """

    alpha: float = 0.2
    kind: Kind = "mixup"

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < self.alpha < math.inf:
            raise bad_value("alpha", self.alpha, "above 0 and finite")
        if self.kind not in KINDS:
            raise unknown_name("kind", self.kind, KINDS)

    def __call__(self, images: Tensor, labels: Tensor, sample_ids: Tensor, *, seed: int, epoch: int) -> Mixed:
        """Return the mixed batch; the input is left as it is.

        Args:
            images: uint8 (N, C, H, W); fastest in channels-last memory format.
            labels: int64 (N,).
            sample_ids: int64 (N,).
            seed: the run's seed.
            epoch: from 0.
        """
        order = uniform(sample_ids, seed, "partner", epoch).argsort()
        partners = torch.empty_like(order)
        partners[order] = order.roll(-1)
        weight = symmetric_beta(sample_ids, self.alpha, seed=seed, epoch=epoch)
        if self.kind == "mixup":
            return Mixed(_blend(images, partners, weight), labels, labels[partners], weight)
        height, width = images.shape[2:]
        boxes = _window(sample_ids, weight, height, width, seed=seed, epoch=epoch)
        count, channels = images.shape[:2]
        second = images.permute(0, 2, 3, 1).index_select(0, partners).reshape(count, height, width * channels)
        left = 1.0 - (boxes.height * boxes.width) / (height * width)
        return Mixed(replace_inside(images, boxes, second), labels, labels[partners], left)


def symmetric_beta(sample_ids: Tensor, alpha: float, *, seed: int, epoch: int) -> Tensor:
    """Return one sample from Beta(alpha, alpha) per sample id, float32 (N,).

    With u, v uniform, q = u^(1/alpha) and c = cos(2 pi v), Student's t with 2 alpha degrees of freedom is t = sqrt(2 alpha (1 - q) / q) c
    (Bailey 1994), and 1/2 + t / (2 sqrt(2 alpha + t^2)) is the sample (Devroye 1996, "Random variate generation in one line of code").
    """
    share = (1.0 - uniform(sample_ids, seed, "mix size", epoch)).pow_(1.0 / alpha)  # of (0, 1]
    cosine = torch.cos(2.0 * math.pi * uniform(sample_ids, seed, "mix side", epoch))
    rest = (1.0 - share) * cosine.square()
    return 0.5 + 0.5 * cosine.sign() * (rest / (rest + share).clamp_(min=1e-38)).sqrt_()


def _blend(images: Tensor, partners: Tensor, weight: Tensor) -> Tensor:
    """Return weight * image + (1 - weight) * its partner, rounded."""
    pixels = images.permute(0, 2, 3, 1).contiguous()
    result = torch.empty_like(pixels)
    for chunk in chunks(len(pixels), pixels[:1].numel(), pixels.device):
        first, second = pixels[chunk].float(), pixels.index_select(0, partners[chunk]).float()
        result[chunk] = as_bytes(torch.lerp(second, first, weight[chunk].view(-1, 1, 1, 1)).add_(0.5))
    return result.permute(0, 3, 1, 2)


def _window(sample_ids: Tensor, weight: Tensor, height: int, width: int, *, seed: int, epoch: int) -> Boxes:
    """Return CutMix's windows as far as they lie inside the image."""
    share = (1.0 - weight).sqrt()
    bounds = []
    for side, axis in ((height, "row"), (width, "column")):
        half = (share * side).long() // 2
        centre = (uniform(sample_ids, seed, f"cutmix {axis}", epoch) * side).long()
        start = (centre - half).clamp_(min=0)
        bounds.append((start, (centre + half).clamp_(max=side) - start))
    (top, rows), (left, columns) = bounds
    return Boxes(top, left, rows, columns)
