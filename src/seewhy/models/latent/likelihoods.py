"""The likelihood p(x | z) of an image, given its latent, as a product over values: what a decoder's maps mean.

A value v is a level, 0 ... L - 1 (`seewhy.models.intensity`). Maps are the numbers that a decoder gives for each pixel, in P maps of H x W:

    bernoulli   a        P(v = 1) = sigma(a), L = 2                                                 P = C
    gaussian    m        v / (L - 1) ~ N(m, 1), a density                                           P = C
    gaussian    m, r     the same with standard deviation s = s_0 + log(1 + e^r): see `Gaussian`    P = 2 C
    logistic    m, r     P(v) = sigma((x_v + h - m) / s) - sigma((x_v - h - m) / s)                 P = 2 C
                         x_v = 2 v / (L - 1) - 1, h = 1 / (L - 1), s = e^-7 + e^r, and the first and the last level take the tails
                         (Kingma et al. 2016, 1606.04934; Salimans et al. 2017, 1701.05517)

Likelihoods are sums over all pixels and channels, in nats: a mean over pixels in their place weighs them by 1 / (C H W) against the KL.
Leading axes are free and broadcast: maps (k, N, P, H, W) of k latents for each image stand against values (N, C, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.core.registry import Registry, Technique

SUMMED = (-3, -2, -1)

NARROWEST = math.exp(-7.0)
"""Least scale of a logistic distribution: a ninth of the distance between two of 256 levels."""


class Likelihood(Protocol):
    """A distribution of values (*, C, H, W), from maps (*, P, H, W)."""

    def maps(self, channels: int) -> int:
        """Return P, the maps that an image of `channels` channels needs."""

    def log_likelihood(self, maps: Tensor, values: Tensor) -> Tensor:
        """Return log p(values) in nats, summed over channels and pixels: (*)."""

    def mean(self, maps: Tensor) -> Tensor:
        """Return the expected values, within 0 ... L - 1: (*, C, H, W), of the maps' type."""

    def sample(self, maps: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return sampled values, int64 (*, C, H, W)."""

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return maps (P, H, W) that give every pixel its mean over the training images.

        Args:
            mean: of each value over the images, within 0 ... L - 1: (C, H, W).
            std: its standard deviation, (C, H, W).
        """


@dataclass(frozen=True)
class Bernoulli:
    """1 with probability sigma(a), for binarised images.

    Attributes:
        levels: L.

    Raises:
        InputError: L is not 2.
    """

    levels: int = 2

    def __post_init__(self) -> None:
        if self.levels != 2:
            raise InputError(
                f"likelihood: 'bernoulli' is for 2 levels, got {self.levels}; choose logistic, or 2 levels"
            )

    def maps(self, channels: int) -> int:
        """Return C."""
        return channels

    def log_likelihood(self, maps: Tensor, values: Tensor) -> Tensor:
        """Return sum of v a - log(1 + e^a)."""
        total: Tensor = _LogBernoulli.apply(maps, values)
        return total

    def mean(self, maps: Tensor) -> Tensor:
        """Return sigma(a)."""
        return torch.sigmoid(maps)

    def sample(self, maps: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return 1 with probability sigma(a)."""
        return (_uniform(maps, rng) < torch.sigmoid(maps)).long()

    def start(self, mean: Tensor, std: Tensor) -> Tensor:  # noqa: ARG002
        """Return log-odds of the means, kept within 0.001 ... 0.999 (Burda et al. 2016)."""
        return torch.logit(mean, eps=1e-3)


@dataclass(frozen=True)
class Gaussian:
    """v / (L - 1) ~ N(m, s^2), a density: its logarithm may be positive, and is no log-probability of the levels.

    A learnt standard deviation is s = s_0 + log(1 + e^r) for each value, where s_0 = 1 / (2 (L - 1)) is half the distance of two levels.
    Without such a floor pixels that never change would make the likelihood as large as one likes.

    Attributes:
        levels: L.
        learnt: whether the standard deviation is given by the decoder; else it is 1.
    """

    levels: int
    learnt: bool = False

    def maps(self, channels: int) -> int:
        """Return C, or 2 C with a learnt standard deviation."""
        return 2 * channels if self.learnt else channels

    def log_likelihood(self, maps: Tensor, values: Tensor) -> Tensor:
        """Return sum of -((v / (L - 1) - m) / s)^2 / 2 - log s - log(2 pi) / 2."""
        mean, scale = self._split(maps)
        x = values.to(maps.dtype) / (self.levels - 1)
        constant = 0.5 * math.log(2 * math.pi) * math.prod(values.shape[-3:])
        if scale is None:
            return (x - mean).square().sum(SUMMED) * -0.5 - constant
        return (((x - mean) / scale).square() * -0.5 - scale.log()).sum(SUMMED) - constant

    def mean(self, maps: Tensor) -> Tensor:
        """Return (L - 1) m, kept within the levels."""
        return (self._split(maps)[0] * (self.levels - 1)).clamp(0, self.levels - 1)

    def sample(self, maps: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return the levels nearest to samples."""
        mean, scale = self._split(maps)
        noise = torch.randn(mean.shape, generator=rng, device=maps.device, dtype=maps.dtype)
        x = mean + (noise if scale is None else scale * noise)
        return (x * (self.levels - 1)).round().clamp(0, self.levels - 1).long()

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the means, and r for the standard deviations, kept within 0.01 ... 1 above the floor."""
        m = mean / (self.levels - 1)
        if not self.learnt:
            return m
        return torch.cat([m, (std / (self.levels - 1)).clamp(0.01, 1.0).expm1().log()])

    def _split(self, maps: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self.learnt:
            return maps, None
        mean, raw = maps.chunk(2, dim=-3)
        return mean, 0.5 / (self.levels - 1) + F.softplus(raw)


@dataclass(frozen=True)
class Logistic:
    """A logistic distribution cut into L levels, whose first and last take the tails: the probabilities of all levels sum to 1.

    Attributes:
        levels: L.
    """

    levels: int

    def maps(self, channels: int) -> int:
        """Return 2 C."""
        return 2 * channels

    def log_likelihood(self, maps: Tensor, values: Tensor) -> Tensor:
        """Return sum of log P(v).

        With edges b > a in units of s, sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b)), whose logarithm is exact in the tails too.
        """
        mean, scale = self._split(maps)
        half = 1.0 / (self.levels - 1)
        distance = (values.to(maps.dtype) * (2.0 * half) - 1.0 - mean) / scale
        width = half / scale
        below, above = F.logsigmoid(distance + width), F.logsigmoid(width - distance)
        inside = below + above + torch.log(-torch.expm1(-2.0 * width))
        ends = torch.where(values == 0, below, torch.where(values == self.levels - 1, above, inside))
        return ends.sum(SUMMED)

    def mean(self, maps: Tensor) -> Tensor:
        """Return sum over v >= 1 of P(value >= v): the exact mean of the levels."""
        mean, scale = self._split(maps)
        total = torch.zeros_like(mean)
        for level in range(1, self.levels):
            total += torch.sigmoid((mean - ((2 * level - 1) / (self.levels - 1) - 1.0)) / scale)
        return total

    def sample(self, maps: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return the level of m + s log(u / (1 - u))."""
        mean, scale = self._split(maps)
        x = mean + scale * torch.logit(_uniform(mean, rng), eps=1e-7)
        return ((x + 1.0) * (0.5 * (self.levels - 1))).round().clamp(0, self.levels - 1).long()

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the means, and r such that standard deviations agree (s pi / sqrt 3), kept within 0.02 ... 2."""
        unit = 2.0 / (self.levels - 1)
        scale = (std * unit).clamp(0.02, 2.0) * (math.sqrt(3) / math.pi)
        return torch.cat([mean * unit - 1.0, (scale - NARROWEST).log()])

    def _split(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = maps.chunk(2, dim=-3)
        return mean, NARROWEST + raw.clamp_max(7.0).exp()


BLOCK = 1 << 18
"""Numbers that `_LogBernoulli` takes at once: intermediate results stay in a processor's cache."""


class _LogBernoulli(torch.autograd.Function):
    """Sum of v a - log(1 + e^a) = v a - max(a, 0) + log max(s, 1 - s), s = sigma(a), whose slope is v - s; maps in bf16 are summed in float32.

    The logarithm is of a number from 1/2 to 1, so that nothing is lost; processors take sigmoid and log many at a time, but log1p, which
    `binary_cross_entropy_with_logits` calls, one by one.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, values: Tensor) -> Tensor:
        dtype = torch.float32 if maps.dtype == torch.bfloat16 else maps.dtype
        a, v = torch.broadcast_tensors(maps, values.to(dtype))  # type: ignore[no-untyped-call]
        sums: Tensor = a.new_empty(a.shape[:-3], dtype=dtype)
        slopes = torch.empty_like(a, memory_format=torch.contiguous_format)
        rows = max(1, BLOCK // max(1, math.prod(a.shape[1:])))
        for own, value, total, slope in zip(*(part.split(rows) for part in (a, v, sums, slopes)), strict=True):
            own = own.to(dtype)
            chance = torch.sigmoid(own)
            likelier = torch.maximum(chance, 1.0 - chance).log_()
            total.copy_(likelier.sub_(own.relu()).addcmul_(value, own).sum(SUMMED))
            slope.copy_(torch.sub(value, chance, out=chance))
        ctx.save_for_backward(slopes)
        ctx.shape = maps.shape
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slopes,) = ctx.saved_tensors
        return (slopes * gradient[..., None, None, None].to(slopes.dtype)).sum_to_size(ctx.shape), None


def _uniform(like: Tensor, rng: torch.Generator | None) -> Tensor:
    return torch.rand(like.shape, generator=rng, device=like.device, dtype=like.dtype)


LIKELIHOODS: Registry[Callable[..., Likelihood]] = Registry("likelihoods of pixels", "likelihood")
"""`f(levels=L)`."""


def bernoulli(*, levels: int) -> Likelihood:
    """Make the Bernoulli distribution."""
    return Bernoulli(levels)


def gaussian(*, levels: int) -> Likelihood:
    """Make the Gaussian of standard deviation 1."""
    return Gaussian(levels)


def gaussian_learnt(*, levels: int) -> Likelihood:
    """Make the Gaussian whose standard deviation the decoder gives."""
    return Gaussian(levels, learnt=True)


def logistic(*, levels: int) -> Likelihood:
    """Make the discretised logistic distribution."""
    return Logistic(levels)


LIKELIHOODS.add(
    Technique(
        name="bernoulli",
        factory=bernoulli,
        summary="0 or 1, with a probability for each pixel",
        formula="log p(x | z) = sum_i x_i a_i - log(1 + e^(a_i))",
        source="Kingma & Welling 2014, 1312.6114",
        good_for="binarised images: figures compare with the literature's",
        bad_for="greyscale or colour",
    )
)
LIKELIHOODS.add(
    Technique(
        name="gaussian",
        factory=gaussian,
        summary="squared error: a Gaussian of standard deviation 1 around each pixel's mean",
        formula="log p(x | z) = -sum_i (x_i - m_i)^2 / 2 - log(2 pi) / 2, x within 0 ... 1",
        source="Kingma & Welling 2014, 1312.6114",
        good_for="a plain autoencoder",
        bad_for="VAEs: a standard deviation as wide as the whole intensity range leaves little for the latent to encode",
    )
)
LIKELIHOODS.add(
    Technique(
        name="gaussian_learnt",
        factory=gaussian_learnt,
        summary="a Gaussian whose mean and standard deviation are both learnt for each pixel",
        formula="log p(x | z) = -sum_i [(x_i - m_i)^2 / (2 s_i^2) + log s_i + log(2 pi) / 2]",
        source="Kingma & Welling 2014, 1312.6114, appendix C",
        good_for="images whose noise differs from position to position",
        bad_for="comparing with distributions of levels: it is a density",
    )
)
LIKELIHOODS.add(
    Technique(
        name="logistic",
        factory=logistic,
        summary="a logistic distribution discretised into the L levels: probabilities of stored pixels",
        formula="P(v) = sigma((x_v + h - m) / s) - sigma((x_v - h - m) / s)",
        source="Kingma et al. 2016, 1606.04934; Salimans et al. 2017, 1701.05517",
        good_for="greyscale and colour: bits per dimension compare with the literature's",
        bad_for="binarised images",
    )
)
