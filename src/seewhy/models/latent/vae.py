"""The variational autoencoder: latents with a distribution (Kingma & Welling 2014, 1312.6114).

Letters as in `seewhy.models.latent.bounds`. An image's values x are resampled at each call where its levels are stochastic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.models.intensity import IntensityLevels
from seewhy.models.labels import validate_labels
from seewhy.models.latent.bounds import (
    Information,
    Posterior,
    active_units,
    doubly_reparameterised_bound,
    free_bits,
    importance_bound,
    information,
)
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.encoder_decoder import EncoderDecoder
from seewhy.models.latent.layers import Shape

ROWS = 250
"""Latents that are decoded at once where there are many for each image: their maps stay in a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class BoundOptions:
    """What training minimises, for each image, with kl_weight w (warm-up) that is passed at each call.

        samples = 1 or mean     -log p(x | z) + w beta KL, the mean over `samples` latents, KL in closed form (free bits: `bounds.free_bits`)
        importance              -log of the mean over `samples` latents of p(x | z) (p(z) / q(z | x))^(w beta), with the gradients of
                                `bounds.doubly_reparameterised_bound`

    Attributes:
        beta: weight of the KL term (Higgins et al. 2017); 1 for a bound on log p(x).
        free_bits: nats of KL that are free in each dimension (Kingma et al. 2016).
        samples: k, latents sampled for each image.
        importance: whether k latents make the importance-weighted bound, or k estimates of the plain one.

    Raises:
        InputError: a number is out of range, or there are free bits under the importance-weighted bound, which has no KL to hold a floor
            under.
    """

    beta: float = 1.0
    free_bits: float = 0.0
    samples: int = 1
    importance: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.beta < float("inf"):
            raise bad_value("beta", self.beta, "at least 0")
        if not 0 <= self.free_bits < float("inf"):
            raise bad_value("free_bits", self.free_bits, "at least 0 nats")
        if self.samples < 1:
            raise bad_value("samples", self.samples, "at least 1")
        if self.weighted and self.free_bits:
            raise InputError(
                f"free_bits: the importance-weighted bound of {self.samples} samples has no KL term; take 0, or 1 sample"
            )

    @property
    def weighted(self) -> bool:
        """Whether training maximises the importance-weighted bound."""
        return self.importance and self.samples > 1


@dataclass(frozen=True)
class VAETerms:
    """The parts of a loss, in nats.

    Attributes:
        loss: what training minimises, (N).
        log_likelihood: log p(x | z), mean over the sampled latents, (N).
        kl: KL(q(z_j | x) || p(z_j)), (N, D).
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor

    @property
    def bound(self) -> Tensor:
        """L_b = log p(x | z) - KL, by the sampled latents: (N)."""
        return self.log_likelihood - self.kl.sum(1)


class VAE(nn.Module):
    """p(x) = integral of p(x | z) N(z; 0, I), with an encoder that gives the distribution of an image's latent.

    Args:
        shape: (C, H, W) of the images.
        design: the choices; None for the usual ones.
        classes: K of a class-conditional model; None where it is not.
        bound: what training minimises; None for the plain bound.

    Raises:
        InputError: a number is out of range, or the architecture is not for images of this shape.
    """

    def __init__(
        self,
        shape: Shape,
        design: LatentDesign | None = None,
        *,
        classes: int | None = None,
        bound: BoundOptions | None = None,
    ) -> None:
        super().__init__()
        self.bound = bound or BoundOptions()
        self.networks = EncoderDecoder(shape, design or LatentDesign(), features=2, classes=classes)

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.networks.latent_dim

    @property
    def classes(self) -> int | None:
        """K, or None."""
        return self.networks.classes

    @property
    def levels(self) -> IntensityLevels:
        """How uint8 images become values, and back."""
        return self.networks.levels

    def prepare(self, images: Tensor) -> None:
        """Let every value start at its mean over training images, uint8 (N, C, H, W)."""
        self.networks.prepare(images)

    def encode(self, values: Tensor, labels: Tensor | None = None) -> Posterior:
        """Return q(z | x) of values (N, C, H, W)."""
        mean, log_scale = self.networks.encode(values, labels).chunk(2, dim=1)
        return Posterior(mean, log_scale)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return maps (*, N, P, H, W) of latents (*, N, D): the parameters of p(x | z), see `seewhy.models.latent.likelihoods`."""
        return self.networks.decode(latents, labels)

    def loss(self, images: Tensor, labels: Tensor | None = None, *, kl_weight: float = 1.0) -> VAETerms:
        """Return the terms of the loss of uint8 images (N, C, H, W), latents and stochastic values from torch's global source.

        Args:
            images: uint8 (N, C, H, W).
            labels: int64 (N) where the model is class-conditional.
            kl_weight: w, from 0 to 1 as the KL is warmed up (Bowman et al. 2016; Sonderby et al. 2016).
        """
        return self.terms(self.networks.values(images, labels), labels, kl_weight=kl_weight)

    def terms(self, values: Tensor, labels: Tensor | None = None, *, kl_weight: float = 1.0) -> VAETerms:
        """Return the terms of the loss of values (N, C, H, W); see `loss`."""
        options = self.bound
        posterior = self.encode(values, labels)
        latents, _ = posterior.sample(options.samples)
        log_likelihood = self.networks.likelihood.log_likelihood(self.decode(latents, labels), values)
        kl, mean = posterior.kl(), log_likelihood.mean(0)
        if options.weighted:
            bound = doubly_reparameterised_bound(posterior, latents, log_likelihood, kl_weight * options.beta)
            return VAETerms(-bound, mean, kl)
        return VAETerms(kl_weight * options.beta * free_bits(kl, options.free_bits) - mean, mean, kl)

    def forward(self, images: Tensor, labels: Tensor | None = None, *, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """Return `loss` as a dictionary, which wrappers of modules pass on.

        loss: (N), with its graph. Detached: bound, L_b (N); reconstruction, -log p(x | z) (N); kl, sum over dimensions (N).
        """
        terms = self.loss(images, labels, kl_weight=kl_weight)
        kl, log_likelihood = terms.kl.detach().sum(1), terms.log_likelihood.detach()
        return {"loss": terms.loss, "bound": log_likelihood - kl, "reconstruction": -log_likelihood, "kl": kl}

    @torch.no_grad()
    def log_likelihood(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        samples: int = 1,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Return the importance-weighted bound L_k on log p(x), in nats, float32 (N); with 5000 samples it is the customary estimate.

        Equal states of `rng` give equal figures for equal images and samples. Memory does not grow with the samples.

        Args:
            images: uint8 (N, C, H, W).
            labels: int64 (N) where the model is class-conditional.
            samples: k.
            rng: source of stochastic values and latents.

        Raises:
            InputError: samples is not positive, or images and labels do not fit the model.
        """
        if samples < 1:
            raise bad_value("samples", samples, "at least 1")
        values = self.networks.values(images, labels, rng)
        at_once = max(1, ROWS // samples)
        bounds = []
        for start in range(0, len(values), at_once):
            own = slice(start, start + at_once)
            bounds.append(self._importance_bound(values[own], None if labels is None else labels[own], samples, rng))
        return torch.cat(bounds) if bounds else torch.zeros(0)

    def _importance_bound(
        self, values: Tensor, labels: Tensor | None, samples: int, rng: torch.Generator | None
    ) -> Tensor:
        """Return L_k of a few images, from at most ROWS latents at a time."""
        posterior = self.encode(values, labels)
        weights = []
        for done in range(0, samples, ROWS):
            latents, noise = posterior.sample(min(ROWS, samples - done), rng)
            log_likelihood = self.networks.likelihood.log_likelihood(self.decode(latents, labels), values)
            weights.append(log_likelihood + posterior.log_prior_ratio(latents, noise))
        return importance_bound(torch.cat(weights))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        pixel_noise: bool = False,
    ) -> Tensor:
        """Return the images of n latents sampled from the prior, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the model is class-conditional.
            rng: source of all random numbers; equal states give equal images.
            temperature: standard deviation of the latents; 1 for the prior's, below it likelier images.
            pixel_noise: whether pixels are sampled too, as p(x) has it; else each is its mean given the latent, as figures usually show.

        Raises:
            InputError: n or the temperature is negative, or the labels do not fit.
        """
        if n < 0:
            raise bad_value("n", n, "at least 0")
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        validate_labels(labels, self.classes, n)
        latents = torch.randn(n, self.latent_dim, generator=rng, device=self.networks.centre.device) * temperature
        return self.decode_images(latents, labels, rng=rng, pixel_noise=pixel_noise)

    def decode_images(
        self,
        latents: Tensor,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        pixel_noise: bool = False,
    ) -> Tensor:
        """Return the images of latents (*, N, D), uint8 (*, N, C, H, W); `pixel_noise` as in `sample`."""
        return self.networks.decode_images(latents, labels, rng, pixel_noise=pixel_noise)

    @torch.no_grad()
    def posterior(self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None) -> Posterior:
        """Return q(z | x) of uint8 images (N, C, H, W); `rng` is the source of stochastic values."""
        return self.encode(self.networks.values(images, labels, rng), labels)

    def reconstruct(self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Return the images as decoded from a latent sampled for each, uint8 (N, C, H, W)."""
        latents, _ = self.posterior(images, labels, rng).sample(1, rng)
        return self.decode_images(latents[0], labels)

    def latent_use(self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None) -> LatentUse:
        """Return how the latent dimensions are used, over a batch of at least 2 images."""
        posterior = self.posterior(images, labels, rng)
        return LatentUse(posterior.kl().mean(0), active_units(posterior.mean), information(posterior, rng))


@dataclass(frozen=True)
class LatentUse:
    """What a model encodes in its latent.

    Attributes:
        kl: mean over images of KL(q(z_j | x) || p(z_j)) in nats, (D).
        active: dimensions whose posterior mean differs between images, bool (D): see `seewhy.models.latent.bounds.active_units`.
        information: where the sum of the KLs goes.
    """

    kl: Tensor
    active: Tensor
    information: Information
