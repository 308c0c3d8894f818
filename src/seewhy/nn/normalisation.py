"""Normalisation layers by name.

They stand between a linear or convolution layer and its activation, and bring each feature (channel) to mean 0 and standard deviation 1
before a learned scale gamma and shift beta:

    y = gamma (x - mean) / sqrt(var + eps) + beta

and differ in what mean and variance are taken over: `batch` over the images and positions of one feature, `layer` over all features and
positions of one image, `group` over a group of features and all positions of one image, `instance` over the positions of one feature of one
image.

Where there is a single value to take them over, every normalisation would give beta whatever it is shown. `batch` refuses that in training, and
evaluates by its running statistics, one image or many; `instance` refuses it always; `layer` and `group` meet it only with a single feature at a
single position, and give beta.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique

Norm = Callable[..., nn.Module]
"""`f(*, features, dims, scale, **options)`, as in `norm`."""

NORMS: Registry[Norm] = Registry("normalisations", "norm")

GROUP_FEATURES = 16
"""Features per group of `group`, where the number of groups is not given."""


def norm(name: str, features: int, *, dims: int, scale: bool = True, **options: Any) -> nn.Module:
    """Return a new normalisation layer.

    Args:
        name: one of `NORMS`.
        features: size of axis 1 of the input.
        dims: 1 for inputs (N, features), 2 for inputs (N, features, H, W).
        scale: whether `batch` learns gamma, which is of no use before a layer that makes up for it.
        options: the hyper-parameters of the named one; those that are left out have their usual values.

            batch      momentum = 0.1: share of the newest batch in the running statistics
            group      groups: of features, as many in each; without it groups have 16 features, or the next number that divides all
            all but none   eps = 1e-5: added to the variance

    Raises:
        InputError: the name is not known, the normalisation lacks the option or is not for such inputs, or a number is out of range.
    """
    NORMS.validate_options(name, options)
    return NORMS[name].factory(features=features, dims=dims, scale=scale, **options)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015, 1502.03167) for (N, features) and (N, features, H, W).

    Training uses the mean and (biased) variance of the batch, and lets running statistics follow with `running <- (1 - m) running + m batch`
    (unbiased variance); evaluation uses the running statistics. Where several processes share a batch, statistics are those of the whole
    batch, however unevenly it is shared, on any device.

    Args:
        features: size of axis 1.
        scale: learn gamma; otherwise it is 1 (Jordan 2024, 2404.00498: it serves nothing in short runs).
        momentum: m.
        eps: added to the variance.

    Raises:
        InputError: a number is out of range; training on a batch that has only one value per feature.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, scale: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise bad_value("momentum", momentum, "at least 0 and at most 1")
        _validate_eps(eps)
        self.features, self.momentum, self.eps = features, momentum, eps
        self.weight: nn.Parameter | None
        self.register_parameter("weight", nn.Parameter(torch.ones(features)) if scale else None)
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.features}, scale={self.weight is not None}, momentum={self.momentum}, eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        """Return y of the shape, dtype and memory format of x."""
        shared = self.training and distributed.is_available() and distributed.is_initialized()
        if shared and distributed.get_world_size() > 1:
            return self._over_processes(x)
        if self.training and x.numel() == self.features:
            raise _too_few()
        # Without a scale torch's second derivative fails where the shift has one too.
        scale = torch.ones_like(self.bias) if self.weight is None else self.weight
        return F.batch_norm(
            x, self.running_mean, self.running_var, scale, self.bias, self.training, self.momentum, self.eps
        )

    def _over_processes(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of all processes' shares: one exchange of count, sum and sum of squares."""
        shape = (1, -1, *[1] * (x.dim() - 2))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        # Sums are taken about the running mean, the same everywhere, so that squares of large means do not swallow small variances.
        shift = self.running_mean.clone()
        centred = x.to(torch.promote_types(x.dtype, torch.float32)) - shift.view(shape)
        count = centred.new_full((1,), x.numel() / self.features)
        sums = _SumOverProcesses.apply(torch.cat([centred.sum(axes), centred.square().sum(axes), count]))
        total = float(sums[-1].detach())
        if total <= 1:
            raise _too_few()
        mean, square = (sums[:-1] / total).split(self.features)
        var = (square - mean.square()).clamp(min=0.0)
        with torch.no_grad():
            self.running_mean.lerp_(mean + shift, self.momentum)
            self.running_var.lerp_(var * (total / (total - 1)), self.momentum)
        factor = torch.rsqrt(var + self.eps) if self.weight is None else self.weight * torch.rsqrt(var + self.eps)
        y = (centred - mean.view(shape)) * factor.view(shape) + self.bias.view(shape)
        result: Tensor = y.to(x.dtype)
        return result


def _too_few() -> InputError:
    return InputError(
        "x: batch normalisation needs more than one value per feature in training, got 1; "
        "use larger batches, or layer normalisation"
    )


def _validate_eps(eps: float) -> None:
    if not 0 < eps < math.inf:
        raise bad_value("eps", eps, "more than 0 and finite")


def batch(*, features: int, dims: int, scale: bool, momentum: float = 0.1, eps: float = 1e-5) -> nn.Module:  # noqa: ARG001
    """Make a `BatchNorm`, which takes inputs of one and two dimensions."""
    return BatchNorm(features, scale=scale, momentum=momentum, eps=eps)


def layer(*, features: int, dims: int, scale: bool, eps: float = 1e-5) -> nn.Module:  # noqa: ARG001
    """Make a layer normalisation; on images, one group of all channels."""
    _validate_eps(eps)
    return nn.LayerNorm(features, eps) if dims == 1 else nn.GroupNorm(1, features, eps)


def group(*, features: int, dims: int, scale: bool, groups: int | None = None, eps: float = 1e-5) -> nn.Module:  # noqa: ARG001
    """Make a group normalisation; without a number of groups with 16 features per group, or the next number that divides all."""
    _validate_eps(eps)
    if groups is None:
        size = next(size for size in range(min(GROUP_FEATURES, features), features + 1) if features % size == 0)
        groups = features // size
    if groups < 1 or features % groups:
        raise bad_value("groups", groups, f"a divisor of the number of features, {features}")
    return nn.GroupNorm(groups, features, eps)


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov et al. 2016, 1607.08022) for (N, features, H, W): each feature of each image over its positions.

    The same in training and evaluation.

    Args:
        features: size of axis 1.
        eps: added to the variance.

    Raises:
        InputError: eps is out of range; a map has a single position.
    """

    def __init__(self, features: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        _validate_eps(eps)
        self.features, self.eps = features, eps
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.features}, eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        """Return y of the shape, dtype and memory format of x."""
        if math.prod(x.shape[2:]) <= 1:
            raise InputError(
                f"norm: 'instance' normalises over positions, of which there must be two or more, got a map of shape {tuple(x.shape[2:])}; "
                "choose batch, layer or group, or larger images"
            )
        return F.group_norm(x, self.features, self.weight, self.bias, self.eps)


def instance(*, features: int, dims: int, scale: bool, eps: float = 1e-5) -> nn.Module:  # noqa: ARG001
    """Make an instance normalisation, which dense layers cannot have."""
    if dims == 1:
        raise InputError(
            "norm: 'instance' normalises over the positions of a map, which dense layers do not have; choose batch or layer"
        )
    return InstanceNorm(features, eps=eps)


def none(*, features: int, dims: int, scale: bool) -> nn.Module:  # noqa: ARG001
    """Make a layer that changes nothing."""
    return nn.Identity()


NORMS.add(
    Technique(
        name="batch",
        factory=batch,
        summary="each feature over the images of the batch",
        formula="y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over images and positions",
        source="Ioffe & Szegedy 2015, 1502.03167",
        good_for="convolutional networks with batches of 16 and more",
        bad_for="tiny batches; train and test behave differently",
        claims=("C11",),
        hyperparameters=("momentum", "eps"),
    )
)
NORMS.add(
    Technique(
        name="layer",
        factory=layer,
        summary="each image over all its features",
        formula="y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over features and positions of one image",
        source="Ba et al. 2016, 1607.06450",
        good_for="any batch size; transformers and recurrent networks",
        bad_for="convolutional networks, where batch is usually better",
        hyperparameters=("eps",),
    )
)
NORMS.add(
    Technique(
        name="group",
        factory=group,
        summary=f"each image over groups of features, {GROUP_FEATURES} in each by default",
        formula="y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over a group's features and positions",
        source="Wu & He 2018, 1803.08494",
        good_for="convolutional networks with small batches",
        bad_for="large batches, where batch is usually better",
        hyperparameters=("groups", "eps"),
    )
)
NORMS.add(
    Technique(
        name="none",
        factory=none,
        summary="no normalisation; layers have biases",
        formula="y = x",
        source="classical",
        good_for="seeing what normalisation does",
        bad_for="deep networks",
        claims=("C11",),
    )
)
NORMS.add(
    Technique(
        name="instance",
        factory=instance,
        summary="each feature of each image over its positions",
        formula="y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over the positions of one feature of one image",
        source="Ulyanov et al. 2016, 1607.08022",
        good_for="style transfer, generators; any batch size",
        bad_for="classification: it throws the contrast of each feature away; dense layers, for which it is refused",
        hyperparameters=("eps",),
    )
)
