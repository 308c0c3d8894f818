"""C27: log p(x) = L_b + KL, exactly, checked where it is tractable."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.generators import trained_vae
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import stored
from seewhy.core.seeding import rng
from seewhy.models import VAE
from seewhy.reporting.claim_records import Lines

REACH, POINTS = 6.0, 241
"""The grid over the two latent dimensions: from -REACH to REACH, so many points a side."""

DEVIATIONS, NODES = 6.0, 61
"""The grid over q: so many standard deviations to each side, so many points a side."""


def measure(setting: Setting) -> Measured:
    """Integrate over a latent of two dimensions, and compare the two sides."""
    images, samples = setting.amount(40, 5), setting.amount(5000, 500)
    error, estimate, kl = list[float](), list[float](), list[float]()
    pairs: list[tuple[float, float, float]] = []
    for seed in range(setting.seeds):
        model = trained_vae(setting, seed=seed, steps=setting.amount(1000, 20), latent_dim=2, width=64)
        values = model.levels.values(stored(setting.test)[:images], rng(seed, "claims", "binarised")).float()
        left = _log_evidence(model, values)
        bound, gap = _bound_and_gap(model, values, left)
        weighted = _importance_weighted(model, values, samples, seed)
        error.append(float((left - bound - gap).abs().max()))
        estimate.append(float((weighted - bound - gap).mean()))
        kl.append(float(gap.min()))
        pairs += [(float(a), float(b), float(g)) for a, b, g in zip(left, bound, gap, strict=True)] if seed == 0 else []
    pairs.sort()
    return Measured(
        criteria=(
            Criterion(
                text="log p(x) = L_b + KL(q(z | x) || p(z | x)) for every image, to the error of the quadrature",
                measure="largest |log p(x) - L_b - KL| over the images, nats",
                values=tuple(error),
                high=1e-3,
                kind="exact",
            ),
            Criterion(
                text="the sum is what importance sampling estimates too",
                measure=f"mean over the images of L_{samples} - (L_b + KL), nats",
                values=tuple(estimate),
                low=-0.05,
                high=0.05,
            ),
            Criterion(
                text="KL is never negative, so that L_b is a bound",
                measure="least KL over the images, nats",
                values=tuple(kl),
                low=0.0,
                kind="exact",
            ),
        ),
        experiment=f"VAE with a latent of 2 dimensions and one hidden layer of 64 units on binarised images; "
        f"{images} test images for each seed. "
        f"log p(x): trapezoidal rule over [-{REACH:g}, {REACH:g}]^2, {POINTS} points a side. L_b and KL: over q in its own standard deviations, "
        f"{NODES} points a side; the KL of the prior inside L_b is the model's closed form.",
        figure=Lines(
            x="image, by log p(x)",
            y="nats",
            lines={
                "log p(x)": tuple((float(k), a, a, a) for k, (a, _, _) in enumerate(pairs)),
                "L_b": tuple((float(k), b, b, b) for k, (_, b, _) in enumerate(pairs)),
                "L_b + KL": tuple((float(k), b + g, b + g, b + g) for k, (_, b, g) in enumerate(pairs)),
            },
        ),
    )


@torch.no_grad()
def _log_joint(model: VAE, latents: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x | z) and log p(z) of latents (M, N, 2) for N images, float64 (M, N)."""
    chunks = [
        model.networks.likelihood.log_likelihood(model.decode(chunk.float()), values).double()
        for chunk in torch.split(latents, 2000)
    ]
    return torch.cat(chunks), -0.5 * latents.square().sum(-1) - math.log(2.0 * math.pi)


def _grid(reach: float, points: int) -> tuple[Tensor, float]:
    """Return the points (M, 2) of a square around 0, and the logarithm of a cell's area."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis), 2.0 * math.log(2.0 * reach / (points - 1))


def _log_evidence(model: VAE, values: Tensor) -> Tensor:
    """Return log p(x) = log of the integral of p(x | z) p(z) over z, (N)."""
    latents, cell = _grid(REACH, POINTS)
    logs = []
    for image in values:
        likelihood, prior = _log_joint(model, latents[:, None], image[None])
        logs.append(torch.logsumexp((likelihood + prior).flatten(), 0) + cell)
    return torch.stack(logs)


@torch.no_grad()
def _bound_and_gap(model: VAE, values: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
    """Return L_b = E_q log p(x | z) - KL(q || p(z)) and KL(q || p(z | x)), p(z | x) = p(x | z) p(z) / p(x): (N) each."""
    posterior = model.encode(values)
    mean, scale = posterior.mean.double(), posterior.log_scale.double().exp()
    noise, cell = _grid(DEVIATIONS, NODES)
    log_weights = -0.5 * noise.square().sum(1) - math.log(2.0 * math.pi) + cell
    weights = log_weights.exp()[:, None]
    likelihood, prior = _log_joint(model, mean + scale * noise[:, None], values)
    own = (log_weights - cell)[:, None] - scale.log().sum(1)
    bound = (weights * likelihood).sum(0) - posterior.kl().double().sum(1)
    return bound, (weights * (own - (likelihood + prior - evidence))).sum(0)


@torch.no_grad()
def _importance_weighted(model: VAE, values: Tensor, samples: int, seed: int) -> Tensor:
    """Return L_k of binarised images, (N)."""
    from seewhy.models.latent.bounds import importance_bound

    posterior = model.encode(values)
    latents, noise = posterior.sample(samples, rng(seed, "claims", "importance"))
    likelihood, _ = _log_joint(model, latents, values)
    return importance_bound(likelihood + posterior.log_prior_ratio(latents, noise))


CLAIM = Claim(
    code="C27",
    title="log p(x) is the bound and a divergence",
    sentence="log p(x) = L_b + KL(q(z | x) || p(z | x)), exactly.",
    source="Kingma & Welling 2014 (1312.6114), equation 1. Burda et al. 2016 (1509.00519) estimate log p(x) by importance weights, "
    "as here beside the integral. "
    "The notes call L_b a bound since KL > 0; KL >= 0 is meant, and 0 where q is the posterior.",
    measure=measure,
)
