"""The autoencoder: latents without a distribution.

Encode, decode, and make the image likely again: loss = -log p(x | z(x)), in nats. Nothing ties the latents to a distribution, so that latents
sampled from N(0, I) mostly fall where the decoder was never trained: fit a density to the latents of the training images (`fit_latents`,
`seewhy.models.latent.priors`) and compare.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.intensity import IntensityLevels
from seewhy.models.labels import validate_labels
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.encoder_decoder import EncoderDecoder
from seewhy.models.latent.layers import Shape
from seewhy.models.latent.priors import PRIORS, GaussianMixture, Prior, fit_mixture, gaussian


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
    training_latents: Tensor

    def __init__(self, shape: Shape, design: LatentDesign | None = None, *, classes: int | None = None) -> None:
        super().__init__()
        self.networks = EncoderDecoder(shape, design or LatentDesign(), features=1, classes=classes)
        self.register_buffer("mean", torch.zeros(self.latent_dim))
        self.register_buffer("covariance", torch.eye(self.latent_dim))
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("training_latents", torch.zeros(0, self.latent_dim), persistent=False)
        self._mixture: GaussianMixture | None = None

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
        pixel_noise: bool = False,
    ) -> Tensor:
        """Return the images of latents (*, N, D), uint8 (*, N, C, H, W): pixels at their means, or sampled from p(x | z)."""
        return self.networks.decode_images(latents, labels, rng, pixel_noise=pixel_noise)

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
        """Store the latents of training images (N, D), with their mean and covariance: the densities that `sample` takes random ones from.

        Raises:
            InputError: there are fewer than 2, or they are not of the model's size.
        """
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or len(latents) < 2:
            raise bad_value("latents", tuple(latents.shape), f"(N, {self.latent_dim}) of at least 2 images")
        x = latents.double()
        self.mean.copy_(x.mean(0))
        self.covariance.copy_(torch.cov(x.T).view_as(self.covariance))
        self.training_latents, self._mixture = latents.detach().to(self.mean), None
        self.fitted.fill_(True)

    @property
    def usual_prior(self) -> Prior:
        """The density that `sample` takes where none is named."""
        return "gaussian" if self.fitted else "standard"

    @torch.no_grad()
    def sample_latents(
        self,
        n: int,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        prior: Prior = "standard",
    ) -> Tensor:
        """Return n random latents, float32 (n, D), of a density by name: see `seewhy.models.latent.priors`.

        Raises:
            InputError: the prior is not known or not fitted, or a number is out of range.
        """
        if prior not in PRIORS:
            raise unknown_name("prior", prior, PRIORS)
        if n < 0:
            raise bad_value("n", n, "at least 0")
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        if prior == "standard":
            return torch.randn(n, self.latent_dim, generator=rng, device=self.mean.device) * temperature
        if not self.fitted or (prior == "mixture" and not len(self.training_latents)):
            raise InputError(
                f"prior: no latents were fitted to take {prior!r} from; call fit_latents with the latents of training images first"
            )
        if prior == "gaussian":
            return gaussian(self.mean, self.covariance).sample(n, rng=rng, temperature=temperature)
        self._mixture = self._mixture or fit_mixture(self.training_latents)
        return self._mixture.sample(n, rng=rng, temperature=temperature)

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        prior: Prior | None = None,
        pixel_noise: bool = False,
    ) -> Tensor:
        """Return the images of n random latents, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the model is class-conditional.
            rng: source of the latents; equal states give equal images.
            temperature: factor of the latents' standard deviation.
            prior: "standard", "gaussian" or "mixture"; None for the Gaussian where latents were fitted, else the standard one.
            pixel_noise: whether pixels are sampled from p(x | z) too; else each is its mean given the latent, as figures usually show.

        Raises:
            InputError: as `sample_latents`, or the labels do not fit.
        """
        validate_labels(labels, self.classes, n)
        latents = self.sample_latents(n, rng=rng, temperature=temperature, prior=prior or self.usual_prior)
        return self.decode_images(latents, labels, rng=rng, pixel_noise=pixel_noise)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Return the images as decoded from their latents, uint8 (N, C, H, W)."""
        return self.decode_images(self.encode(images, labels, rng), labels)
