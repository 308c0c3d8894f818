"""Densities over the latents of an autoencoder, which has none of its own: fitted to the latents of training images after training.

standard    N(0, I): nothing is fitted, and the decoder was never trained on most such latents
gaussian    N(m, S), mean and covariance of the latents
mixture     sum over k of w_k N(m_k, S_k), up to 10 components with full covariances, by expectation maximisation

(Ghosh et al. 2020, 1903.12436, section 4: ex-post density estimation, with both.) All three are mixtures of Gaussians; a latent is

    z = m_k + temperature A_k e,    e ~ N(0, I),    k with probability w_k,    A_k A_k^T = S_k
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Prior = Literal["standard", "gaussian", "mixture"]
PRIORS: tuple[Prior, ...] = ("standard", "gaussian", "mixture")

COMPONENTS = 10
"""Of a mixture, at most, as in the paper; fewer where there are not D + 1 latents for each."""

JITTER = 1e-6
"""Share of the mean variance that is added to each, so that a latent that never changes has a Cholesky factor."""


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K Gaussians over latents of D dimensions.

    Attributes:
        weights: w_k, float64 (K).
        means: m_k, float32 (K, D).
        roots: A_k, float64 (K, D, D).
    """

    weights: Tensor
    means: Tensor
    roots: Tensor

    def sample(self, n: int, *, rng: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """Return n latents, float32 (n, D)."""
        noise = torch.randn(n, self.means.shape[1], generator=rng, device=self.means.device) * temperature
        if len(self.weights) == 1:
            return self.means[0] + (noise.double() @ self.roots[0].T).float()
        latents = torch.empty_like(noise)
        # multinomial takes no sample of 0
        component = torch.multinomial(self.weights, max(n, 1), replacement=True, generator=rng)[:n]
        for k, root in enumerate(self.roots):
            own = component == k
            latents[own] = self.means[k] + (noise[own].double() @ root.T).float()
        return latents


def gaussian(mean: Tensor, covariance: Tensor) -> GaussianMixture:
    """Return N(mean (D), covariance (D, D))."""
    return GaussianMixture(covariance.new_ones(1).double(), mean[None], _root(covariance)[None])


def fit_mixture(latents: Tensor) -> GaussianMixture:
    """Fit a mixture to latents (N, D), N at least 2, from k-means clusters; equal latents give equal mixtures.

    K is 10, or N / (D + 1) where that is less: a covariance of D dimensions needs as many points.
    """
    from sklearn import mixture
    from sklearn.exceptions import ConvergenceWarning

    n, dimensions = latents.shape
    points = latents.detach().double().cpu().numpy()
    fitted = mixture.GaussianMixture(
        max(1, min(COMPONENTS, n // (dimensions + 1))),
        reg_covar=max(JITTER * float(points.var(0).mean()), 1e-12),
        max_iter=200,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last of the iterations is a mixture too
        fitted.fit(points)
    weights, means, covariances = (
        torch.from_numpy(values).to(latents.device) for values in (fitted.weights_, fitted.means_, fitted.covariances_)
    )
    return GaussianMixture(weights, means.to(latents.dtype), torch.stack([_root(each) for each in covariances]))


def _root(covariance: Tensor) -> Tensor:
    """Return A, lower triangular, with A A^T = S and a little on its diagonal: float64 (D, D)."""
    covariance = covariance.double()
    floor = JITTER * covariance.diagonal().mean().clamp_min(1e-12)
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    root: Tensor = torch.linalg.cholesky(covariance + floor * identity)
    return root
