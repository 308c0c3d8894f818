"""The gradient penalty: it keeps the discriminator's gradient norm near 1 between real and generated images (Gulrajani et al. 2017, 1704.00028).

With x a real image and y a generated one:

    x^ = e x + (1 - e) y, e ~ U(0, 1) for each pair;   P = E (|grad_x^ D(x^)|_2 - 1)^2
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seewhy.core.errors import InputError


def gradient_penalty(
    discriminator: Callable[[Tensor, Tensor | None], Tensor], real: Tensor, fake: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Return P, a scalar with its graph. e comes from torch's global source.

    Args:
        discriminator: (N, ...) and labels to logits (N), each from its own image alone: no batch normalisation.
        real: x, floating (N, ...).
        fake: y, of the shape of x.
        labels: int64 (N), the classes of both; None where the discriminator is not class-conditional.

    Raises:
        InputError: the shapes differ.
    """
    if real.shape != fake.shape:
        raise InputError(f"fake: must have the shape of real {tuple(real.shape)}, got {tuple(fake.shape)}")
    share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    between = torch.lerp(fake.detach(), real.detach(), share).requires_grad_()
    return (gradient_norms(discriminator, between, labels) - 1.0).square().mean()


def gradient_norms(
    discriminator: Callable[[Tensor, Tensor | None], Tensor], images: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Return |grad D| at each image, float32 or wider (N), with its graph; `images` must require a gradient.

    The gradient of the root at 0 is infinite: 1e-12 is added under it.
    """
    (gradient,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
    dtype = torch.promote_types(gradient.dtype, torch.float32)
    return (gradient.to(dtype).flatten(1).square().sum(1) + 1e-12).sqrt()
