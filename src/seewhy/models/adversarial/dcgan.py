"""DCGAN (Radford et al. 2016, 1511.06434): strided convolutions down, transposed ones up, for images of any sides from 4 pixels.

A ladder of sides leads from the image to the smallest map: each axis is halved (rounded up) while it has more than 4 pixels.

    G   z -> linear -> smallest map, norm, ReLU -> [transposed convolution, norm, ReLU] up the ladder -> output
    D   [convolution, norm, leaky ReLU 0.2] down the ladder -> linear; no norm in the first

Kernels have 4 pixels where an axis is halved, and 3 where it is not; the paper's have 5. A stride of 2 divides 4, so that every pixel is reached
by as many weights, and they cost two thirds of the time. Widths double from stage to stage down the ladder, up to 8 times the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from seewhy.core.errors import bad_value, unknown_name
from seewhy.models.adversarial.networks import Discriminator, Generator, Noise
from seewhy.models.labels import append_one_hot, validate_labels
from seewhy.nn import norm

SMALLEST = 4
MOST_WIDENING = 8
NORMS = ("batch", "layer", "spectral", "none")
CONDITIONS = ("projection", "concatenation")

Sides = tuple[int, int]


def ladder(height: int, width: int, depth: int = 1) -> list[Sides]:
    """Return the sides of the maps, from the image's to the smallest: at least `depth` steps, the last ones of equal sides if need be.

    Raises:
        InputError: a side is less than 4 pixels.
    """
    if min(height, width) < SMALLEST:
        raise bad_value("shape", (height, width), f"sides of at least {SMALLEST} pixels")
    sides = [(height, width)]
    while max(sides[-1]) > SMALLEST:
        sides.append((_halved(sides[-1][0]), _halved(sides[-1][1])))
    return sides + sides[-1:] * (depth + 1 - len(sides))


def _halved(side: int) -> int:
    return (side + 1) // 2 if side > SMALLEST else side


def widths(first: int, stages: int) -> list[int]:
    """Return the features of each stage, from the image's end."""
    return [first * min(2**stage, MOST_WIDENING) for stage in range(stages)]


class Up(nn.Module):
    """A transposed convolution between two rungs of a ladder: (N, F_in, *small) -> (N, F_out, *large)."""

    def __init__(self, features_in: int, features_out: int, small: Sides, large: Sides, *, bias: bool) -> None:
        super().__init__()
        (k, s, p, extra), (k2, s2, p2, extra2) = map(self._axis, small, large)
        self.conv = nn.ConvTranspose2d(features_in, features_out, (k, k2), (s, s2), (p, p2), (extra, extra2), bias=bias)
        nn.init.normal_(self.conv.weight, std=0.02)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    @staticmethod
    def _axis(small: int, large: int) -> tuple[int, int, int, int]:
        if small == large:
            return 3, 1, 1, 0
        return (4, 2, 1, 0) if large == 2 * small else (4, 2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the larger maps."""
        y: Tensor = self.conv(x)
        return y


class Down(nn.Module):
    """A convolution between two rungs of a ladder: (N, F_in, *large) -> (N, F_out, *small)."""

    def __init__(
        self, features_in: int, features_out: int, large: Sides, small: Sides, *, bias: bool, spectral: bool
    ) -> None:
        super().__init__()
        (k, s), (k2, s2) = ((3, 1) if a == b else (4, 2) for a, b in zip(large, small, strict=True))
        # An odd side that is halved is padded by one pixel more at its end, so that ceil(side / 2) remain; F.pad counts from the last axis.
        extra = [a % 2 if a != b else 0 for a, b in zip(large, small, strict=True)]
        self.padding = [end for one in reversed(extra) for end in (1, 1 + one)] if any(extra) else []
        conv = nn.Conv2d(features_in, features_out, (k, k2), (s, s2), padding=0 if self.padding else 1, bias=bias)
        nn.init.normal_(conv.weight, std=0.02)
        self.conv = spectral_norm(conv) if spectral else conv

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller maps."""
        y: Tensor = self.conv(F.pad(x, self.padding) if self.padding else x)
        return y


class ConvGenerator(Generator):
    """DCGAN's generator, with batch normalisation: (N, Z) -> (N, C, H, W).

    Args:
        shape: (C, H, W).
        noise: its input's distribution.
        width: features of the largest hidden maps.
        depth: the least number of stages; images of more than 4 x 2^depth pixels have more.
        output: "tanh" or "sigmoid".
        classes: K, given by a one-hot vector beside z; None where it is not class-conditional.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        noise: Noise | None = None,
        *,
        width: int = 64,
        depth: int = 1,
        output: str = "tanh",
        classes: int | None = None,
    ) -> None:
        super().__init__(shape, noise or Noise(), output=output, classes=classes)
        _validate(shape, width, depth)
        sides = ladder(self.shape[1], self.shape[2], depth)
        features = widths(width, len(sides) - 1)
        self.smallest = (features[-1], *sides[-1])
        self.first = nn.Linear(self.noise.size + (classes or 0), math.prod(self.smallest), bias=False)
        outs = [self.shape[0], *features[:-1]]
        stages = list(zip(reversed(features), reversed(outs), reversed(sides[1:]), reversed(sides[:-1]), strict=True))
        self.norms = nn.ModuleList(norm("batch", inner, dims=2) for inner, *_ in stages)
        last = len(stages) - 1
        self.ups = nn.ModuleList(Up(*stage, bias=index == last) for index, stage in enumerate(stages))
        nn.init.normal_(self.first.weight, std=0.02)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z) -> (N, C, H, W), float32."""
        validate_labels(labels, self.classes, z.shape[0])
        x = self.first(append_one_hot(z, labels, self.classes)).unflatten(1, self.smallest)
        x = x.contiguous(memory_format=torch.channels_last)
        for normalise, up in zip(self.norms, self.ups, strict=True):
            x = up(F.relu(normalise(x)))
        return self.output_function(x)


class ConvDiscriminator(Discriminator):
    """DCGAN's discriminator: (N, C, H, W) -> (N).

    A class-conditional one has its classes by projection, logit = w phi + b + e_k phi, phi the last features and e_k a vector of class k
    (Miyato & Koyama 2018, 1802.05637), or by concatenation of K maps, one of them 1 and the others 0, to the image.

    Args:
        shape: (C, H, W).
        width: features of the first maps.
        depth: the least number of stages.
        norm: "batch" (the paper's), "layer" (Gulrajani et al. 2017, for the gradient penalty), "spectral" (Miyato et al. 2018), or "none".
        condition: "projection" or "concatenation".
        classes: K; None where it is not class-conditional.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int = 64,
        depth: int = 1,
        norm: str = "batch",
        condition: str = "projection",
        classes: int | None = None,
    ) -> None:
        super().__init__(shape, classes=classes, batch_dependent=norm == "batch")
        if norm not in NORMS:
            raise unknown_name("norm", norm, NORMS)
        if condition not in CONDITIONS:
            raise unknown_name("condition", condition, CONDITIONS)
        _validate(shape, width, depth)
        self.projects, spectral = condition == "projection", norm == "spectral"
        sides = ladder(self.shape[1], self.shape[2], depth)
        features = widths(width, len(sides) - 1)
        ins = [self.shape[0] + (0 if classes is None or self.projects else classes), *features[:-1]]
        stages = list(zip(ins, features, sides[:-1], sides[1:], strict=True))
        plain = norm in ("spectral", "none")
        self.downs = nn.ModuleList(
            Down(*stage, bias=plain or index == 0, spectral=spectral) for index, stage in enumerate(stages)
        )
        self.norms = nn.ModuleList(
            nn.Identity() if plain or index == 0 else _norm(norm, outer) for index, outer in enumerate(features)
        )
        flat = features[-1] * math.prod(sides[-1])
        head, table = nn.Linear(flat, 1), nn.Embedding(classes or 1, flat) if self._projected else None
        nn.init.normal_(head.weight, std=0.02)
        self.head = spectral_norm(head) if spectral else head
        self.table: nn.Module | None = None
        if table is not None:
            nn.init.normal_(table.weight, std=0.02)
            self.table = spectral_norm(table) if spectral else table
        self.to(memory_format=torch.channels_last)

    @property
    def _projected(self) -> bool:
        """Whether there are classes, by projection."""
        return self.classes is not None and self.projects

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N), float32."""
        validate_labels(labels, self.classes, len(x))
        if labels is not None and self.classes is not None and not self.projects:
            maps = F.one_hot(labels, self.classes).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, maps], 1)
        for down, normalise in zip(self.downs, self.norms, strict=True):
            x = F.leaky_relu(normalise(down(x)), 0.2)
        x = x.flatten(1)
        logits: Tensor = self.head(x).float().squeeze(1)
        if self.table is not None:
            logits = logits + (self.table(labels) * x).float().sum(1)
        return logits


def _norm(name: str, features: int) -> nn.Module:
    return norm(name, features, dims=2)


def _validate(shape: Sequence[int], width: int, depth: int) -> None:
    if len(shape) != 3:
        raise bad_value("shape", tuple(shape), "(channels, height, width)")
    if width < 1:
        raise bad_value("width", width, "at least 1")
    if depth < 1:
        raise bad_value("depth", depth, "at least 1")
