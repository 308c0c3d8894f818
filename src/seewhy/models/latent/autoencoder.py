"""The autoencoder: latents without a distribution.

Encode, decode, and make the image likely again: loss = -log p(x | z(x)), in nats. Nothing ties the latents to a distribution, so that latents
sampled from N(0, I) mostly fall where the decoder was never trained: fit a Gaussian to the latents of the training images (`fit_latents`)
and compare.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.intensity import IntensityLevels
from seewhy.models.labels import validate_labels
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.encoder_decoder import EncoderDecoder
from seewhy.models.latent.layers import Shape

Prior = Literal["standard", "fitted"]
PRIORS: tuple[Prior, ...] = ("standard", "fitted")

JITTER = 1e-6
"""Share of the mean variance that is added to each, so that a latent that never changes has a Cholesky factor."""


class Autoencoder(nn.Module):
    """image -> latent of D dimensions -> image.

    Args:
        shape: (C, H, W) of the images.
        design: the choices; None for the usual ones.
        classes: K of a class-conditional model; None where it is not.

    Raises:
        InputError: a number is out of range, or the architecture is not for images of this shape.
    """

    mean: Tensor
    covariance: Tensor
    fitted: Tensor

    def __init__(self, shape: Shape, design: LatentDesign | None = None, *, classes: int | None = None) -> None:
        super().__init__()
        self.networks = EncoderDecoder(shape, design or LatentDesign(), features=1, classes=classes)
        self.register_buffer("mean", torch.zeros(self.latent_dim))
        self.register_buffer("covariance", torch.eye(self.latent_dim))
        self.register_buffer("fitted", torch.tensor(False))

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

    def encode(self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Return the latents of uint8 images, float32 (N, D); `rng` is the source of stochastic values."""
        return self.networks.encode(self.networks.values(images, labels, rng), labels)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return maps (*, N, P, H, W) of latents (*, N, D): the parameters of p(x | z), see `seewhy.models.latent.likelihoods`."""
        return self.networks.decode(latents, labels)

    def decode_images(
        self,
        latents: Tensor,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        sample_pixels: bool = False,
    ) -> Tensor:
        """Return the images of latents (*, N, D), uint8 (*, N, C, H, W): pixels at their means, or sampled from p(x | z)."""
        return self.networks.decode_images(latents, labels, rng, sample_pixels=sample_pixels)

    def forward(
        self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return `{"loss": -log p(x | z(x))}` of uint8 images (N, C, H, W), float32 (N), in nats summed over pixels and channels."""
        values = self.networks.values(images, labels, rng)
        maps = self.networks.decode(self.networks.encode(values, labels), labels)
        return {"loss": -self.networks.likelihood.log_likelihood(maps, values)}

    @torch.no_grad()
    def log_likelihood(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        samples: int = 1,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Return log p(x | z(x)), float32 (N): how likely the image is given its own latent, which is not log p(x); `samples` is not used."""
        del samples
        loss: Tensor = self(images, labels, rng)["loss"]
        return -loss

    @torch.no_grad()
    def fit_latents(self, latents: Tensor) -> None:
        """Store mean and covariance of the latents of training images (N, D), from which `sample` takes random ones.

        Raises:
            InputError: there are fewer than 2, or they are not of the model's size.
        """
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or len(latents) < 2:
            raise bad_value("latents", tuple(latents.shape), f"(N, {self.latent_dim}) of at least 2 images")
        x = latents.double()
        self.mean.copy_(x.mean(0))
        self.covariance.copy_(torch.cov(x.T).view_as(self.covariance))
        self.fitted.fill_(True)

    @torch.no_grad()
    def sample_latents(
        self,
        n: int,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        prior: Prior = "standard",
    ) -> Tensor:
        """Return n random latents, float32 (n, D): m + temperature A e, e ~ N(0, I), with m = 0 and A = I, or A A^T the fitted covariance.

        Raises:
            InputError: the prior is not known or not fitted, or a number is out of range.
        """
        if prior not in PRIORS:
            raise unknown_name("prior", prior, PRIORS)
        if n < 0:
            raise bad_value("n", n, "at least 0")
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        noise = torch.randn(n, self.latent_dim, generator=rng, device=self.mean.device) * temperature
        if prior == "standard":
            return noise
        if not self.fitted:
            raise InputError(
                "prior: no latents were fitted; call fit_latents with the latents of training images first"
            )
        covariance = self.covariance.double()
        floor = JITTER * covariance.diagonal().mean().clamp_min(1e-12)
        identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        root = torch.linalg.cholesky(covariance + floor * identity)
        latents: Tensor = self.mean + (noise.double() @ root.T).float()
        return latents

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        prior: Prior | None = None,
    ) -> Tensor:
        """Return the images of n random latents, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the model is class-conditional.
            rng: source of the latents; equal states give equal images.
            temperature: factor of the latents' standard deviation.
            prior: "standard", "fitted", or None for the fitted one where there is one.

        Raises:
            InputError: as `sample_latents`, or the labels do not fit.
        """
        validate_labels(labels, self.classes, n)
        prior = prior or ("fitted" if self.fitted else "standard")
        latents = self.sample_latents(n, rng=rng, temperature=temperature, prior=prior)
        return self.decode_images(latents, labels)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Return the images as decoded from their latents, uint8 (N, C, H, W)."""
        return self.decode_images(self.encode(images, labels, rng), labels)
