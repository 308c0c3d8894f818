"""Bounds on log p(x), and what they say of a latent.

Letters: x an image, z its latent of D dimensions, p(z) = N(0, I), q(z | x) = N(m, diag s^2) the encoder's, p(x | z) the decoder's,
w = p(x | z) p(z) / q(z | x) the importance weight of a latent sampled from q.

    L_b = E_q log w = E_q log p(x | z) - KL(q(z | x) || p(z))         log p(x) = L_b + KL(q(z | x) || p(z | x))
    L_k = E log((w_1 + ... + w_k) / k)                                L_b = L_1 <= L_2 <= ... -> log p(x)

(Kingma & Welling 2014, 1312.6114; Burda, Grosse & Salakhutdinov 2016, 1509.00519.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.errors import bad_value


@dataclass(frozen=True)
class Posterior:
    """q(z | x), a Gaussian of independent dimensions.

    Attributes:
        mean: m, (N, D).
        log_scale: log s, (N, D).
    """

    mean: Tensor
    log_scale: Tensor

    def kl(self) -> Tensor:
        """Return KL(q(z_j | x) || N(0, 1)) = (m^2 + s^2 - 1) / 2 - log s of each dimension, in nats: (N, D)."""
        return 0.5 * (self.mean.square() + (2.0 * self.log_scale).exp() - 1.0) - self.log_scale

    def sample(self, samples: int, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return latents z = m + s e and their noise e ~ N(0, I), both (samples, N, D): gradients reach m and s."""
        shape = (samples, *self.mean.shape)
        noise = torch.randn(shape, generator=rng, device=self.mean.device, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, self.log_scale.exp(), noise), noise

    def log_prior_ratio(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return log p(z) - log q(z | x) of latents sampled with that noise: sum over D of (e^2 - z^2) / 2 + log s, (samples, N)."""
        return 0.5 * (noise.square() - latents.square()).sum(-1) + self.log_scale.sum(-1)


def importance_bound(log_weights: Tensor) -> Tensor:
    """Return log of the mean weight, from log w: (k, N) -> (N)."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def doubly_reparameterised_bound(posterior: Posterior, latents: Tensor, log_likelihood: Tensor, beta: float) -> Tensor:
    """Return log of the mean weight, (N), with gradients of less noise than those of `importance_bound` (Tucker et al. 2019, 1810.04152).

    The weights are log w = log p(x | z) + b (log p(z) - log q(z | x)). With v_i = w_i / sum_j w_j the gradient that reaches q's m and s is

        sum over i of v_i (1 - b + b v_i) (d log w_i / d z_i) (d z_i / d m, s)        m and s held fixed within log w

    which leaves out the score of q, of the same mean and a noise that grows with k. The value, and the decoder's gradient, are the usual ones.

    Args:
        posterior: q.
        latents: z, (k, N, D), sampled from it by `Posterior.sample` and used by `log_likelihood` alone: their gradient is scaled in passing.
        log_likelihood: log p(x | z) of the latents, (k, N).
        beta: b.
    """
    fixed = Posterior(posterior.mean.detach(), posterior.log_scale.detach())
    noise = (latents - fixed.mean) * (-fixed.log_scale).exp()
    log_weights = log_likelihood + beta * fixed.log_prior_ratio(latents, noise)
    if latents.requires_grad:
        share = torch.softmax(log_weights.detach(), 0)[..., None]
        latents.register_hook(lambda gradient: gradient * (1.0 - beta + beta * share))  # type: ignore[no-untyped-call]
    return importance_bound(log_weights)


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """Return the KL term of each image with free bits, (N), in nats: sum over j of max(nats, mean over images of KL_j).

    Where a dimension's mean over the batch is above the floor, an image has its own KL, so that the mean over the batch is that of
    Kingma et al. (2016, 1606.04934); elsewhere it has the floor, which has no gradient.

    Args:
        kl: of each image and dimension, (N, D).
        nats: the floor for each dimension, at least 0.
    """
    if not nats:
        return kl.sum(1)
    above = kl.detach().mean(0) > nats
    return torch.where(above, kl, nats).sum(1)


ACTIVE = 0.01


def active_units(means: Tensor, threshold: float = ACTIVE) -> Tensor:
    """Return which dimensions encode something of the image: variance over images of E_q z_j above the threshold, bool (D).

    Args:
        means: m of many images, (N, D), N at least 2.
        threshold: Burda et al. take 0.01.

    Raises:
        InputError: there are fewer than 2 images.
    """
    if len(means) < 2:
        raise bad_value("means", tuple(means.shape), "those of at least 2 images")
    return means.var(0) > threshold


@dataclass(frozen=True)
class Information:
    """Where the average KL goes (Hoffman & Johnson 2016): mean KL(q(z | x) || p) = I_q(x; z) + KL(q(z) || p).

    q(z) is the mixture of the posteriors of N images, and I_q the information that a latent carries of which of them it belongs to: at most
    log N, and an estimate over a batch cannot say more. A latent is sampled for each image, so both parts are estimates with an error of order
    1 / sqrt(N); the left side is exact, and both add up to it.

    Attributes:
        kl: mean KL(q(z | x) || p), in nats.
        mutual: I_q(x; z), in nats.
        aggregate: KL(q(z) || p), in nats.
        images: N; mutual is at most log N, up to the error.
    """

    kl: float
    mutual: float
    aggregate: float
    images: int


BLOCK = 1 << 22
"""Numbers held at once by `information`."""


@torch.no_grad()
def information(posterior: Posterior, rng: torch.Generator | None = None) -> Information:
    """Estimate the information between images and latents from one latent for each of N images.

    I_q is the mean over i of log q(z_i | x_i) - log((1 / N) sum_j q(z_i | x_j)), z_i ~ q(z | x_i), the sum over all N, i among them.
    """
    mean, log_scale = posterior.mean.double(), posterior.log_scale.double()
    latents, noise = Posterior(mean, log_scale).sample(1, rng)
    own = -(0.5 * noise[0].square() + log_scale).sum(1)
    mutual = float((own - _log_mixture(latents[0], mean, log_scale)).mean())
    kl = float(Posterior(mean, log_scale).kl().sum(1).mean())
    return Information(kl, mutual, kl - mutual, len(mean))


def _log_mixture(latents: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log of the mean over images of q(z | x_j), without (2 pi)^(-D / 2), of latents (M, D): (M).

    sum over D of ((z - m) / s)^2 is taken as z^2 (1 / s^2) - 2 z (m / s^2) + (m / s)^2, products of matrices, in float64.
    """
    precision = (-2.0 * log_scale).exp()
    factors = torch.cat([-0.5 * precision, mean * precision], 1).T
    constant = -(0.5 * mean.square() * precision + log_scale).sum(1)
    # Results are written in place: small ones allocated in between would keep the heap from reusing the memory of the large ones.
    totals = latents.new_empty(len(latents))
    rows = max(1, BLOCK // len(mean))
    for z, total in zip(torch.split(latents, rows), torch.split(totals, rows), strict=True):
        total.copy_(torch.logsumexp(torch.cat([z.square(), z], 1) @ factors + constant, 1))
    return totals - math.log(len(mean))
