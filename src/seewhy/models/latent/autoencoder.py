"""The autoencoder: codes without a distribution.

Encode, decode, and make the picture likely again: loss = -log p(x | z(x)), in nats. Nothing holds the codes to any law, so that codes drawn from
N(0, I) mostly fall where the decoder was never trained: fit a Gaussian to the codes of the training pictures (`fit_codes`) and compare.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.latent.coders import CoderDesign, Shape
from seewhy.models.latent.pictures import Coders, check_labels
from seewhy.models.levels import Levels

Prior = Literal["standard", "fitted"]
PRIORS: tuple[Prior, ...] = ("standard", "fitted")

JITTER = 1e-6
"""Share of the mean variance that is added to each, so that a code that never changes has a Cholesky factor."""


class Autoencoder(nn.Module):
    """picture -> code of D numbers -> picture.

    Args:
        shape: (C, H, W) of the pictures.
        code: D.
        levels: how uint8 pictures become values, and back.
        output: one of `seewhy.models.latent.outputs.DISTRIBUTIONS`.
        coder: what encoder and decoder are built from; None for 784-200-200-D in tanh.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    mean: Tensor
    covariance: Tensor
    fitted: Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        code: int = 32,
        levels: Levels | None = None,
        output: str = "bernoulli",
        coder: CoderDesign | None = None,
    ) -> None:
        super().__init__()
        self.coders = Coders(
            shape, code=code, features=code, levels=levels or Levels(2), output=output, design=coder or CoderDesign()
        )
        self.register_buffer("mean", torch.zeros(code))
        self.register_buffer("covariance", torch.eye(code))
        self.register_buffer("fitted", torch.tensor(False))

    def prepare(self, images: Tensor) -> None:
        """Let every value start at its mean over training images, uint8 (N, C, H, W)."""
        self.coders.prepare(images)

    def encode(self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Return the codes of uint8 images, float32 (N, D); the generator is the source of stochastic values."""
        return self.coders.encode(self.coders.values(images, labels, generator), labels)

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return maps (*, N, P, H, W) of codes (*, N, D): the parameters of p(x | z), see `seewhy.models.latent.outputs`."""
        return self.coders.decode(codes, labels)

    def forward(
        self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return `{"loss": -log p(x | z(x))}` of uint8 images (N, C, H, W), float32 (N), in nats summed over pixels and channels."""
        values = self.coders.values(images, labels, generator)
        maps = self.coders.decode(self.coders.encode(values, labels), labels)
        return {"loss": -self.coders.output.log_likelihood(maps, values)}

    @torch.no_grad()
    def log_likelihood(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return log p(x | z(x)), float32 (N): how likely the picture is given its own code, which is not log p(x); `samples` is not used."""
        del samples
        found: Tensor = self(images, labels, generator)["loss"]
        return -found

    @torch.no_grad()
    def fit_codes(self, codes: Tensor) -> None:
        """Keep mean and covariance of the codes of training pictures (N, D), from which `sample` draws.

        Raises:
            InputError: there are fewer than 2, or they are not of the model's size.
        """
        if codes.ndim != 2 or codes.shape[1] != self.coders.code or len(codes) < 2:
            raise bad_value("codes", tuple(codes.shape), f"(N, {self.coders.code}) of at least 2 pictures")
        x = codes.double()
        self.mean.copy_(x.mean(0))
        self.covariance.copy_(torch.cov(x.T).view_as(self.covariance))
        self.fitted.fill_(True)

    @torch.no_grad()
    def draw(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        prior: Prior = "standard",
    ) -> Tensor:
        """Return n random codes, float32 (n, D): m + temperature A e, e ~ N(0, I), with m = 0 and A = I, or A A^T the fitted covariance.

        Raises:
            InputError: the prior is not known or not fitted, or a number is out of range.
        """
        if prior not in PRIORS:
            raise unknown_name("prior", prior, PRIORS)
        if n < 0:
            raise bad_value("n", n, "at least 0")
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        noise = torch.randn(n, self.coders.code, generator=generator, device=self.mean.device) * temperature
        if prior == "standard":
            return noise
        if not self.fitted:
            raise InputError("prior: no codes were fitted; call fit_codes with the codes of training pictures first")
        spread = self.covariance.double()
        floor = JITTER * spread.diagonal().mean().clamp_min(1e-12)
        root = torch.linalg.cholesky(spread + floor * torch.eye(len(spread), dtype=spread.dtype, device=spread.device))
        drawn: Tensor = self.mean + (noise.double() @ root.T).float()
        return drawn

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        prior: Prior | None = None,
    ) -> Tensor:
        """Return the pictures of n random codes, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the model is conditioned on classes.
            generator: source of the codes; equal states give equal pictures.
            temperature: factor of the codes' deviation.
            prior: "standard", "fitted", or None for the fitted one where there is one.

        Raises:
            InputError: as `draw`, or the labels do not fit.
        """
        check_labels(labels, self.coders.classes, n)
        chosen: Prior = prior or ("fitted" if self.fitted else "standard")
        codes = self.draw(n, generator=generator, temperature=temperature, prior=chosen)
        return self.coders.pictures(codes, labels)

    @torch.no_grad()
    def reconstruct(
        self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the images as decoded from their codes, uint8 (N, C, H, W)."""
        return self.coders.pictures(self.encode(images, labels, generator), labels)
