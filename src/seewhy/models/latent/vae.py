"""The variational autoencoder: codes with a distribution (Kingma & Welling 2014, 1312.6114).

Letters as in `seewhy.models.latent.bounds`. A picture's values x are drawn anew at each call where its levels are stochastic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.models.latent.bounds import (
    Information,
    Posterior,
    active_units,
    doubly_reparameterised_bound,
    free_bits,
    importance_bound,
    information,
)
from seewhy.models.latent.coders import CoderDesign, Shape
from seewhy.models.latent.pictures import Coders, check_labels
from seewhy.models.levels import Levels

ROWS = 250
"""Codes that are decoded at once where there are many for each picture: their maps stay in a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What training minimises, for each picture, with kl_weight w (warm-up) that is passed at each call.

        samples = 1 or mean     -log p(x | z) + w beta KL, the mean over `samples` codes, KL in closed form (with free bits: `bounds.free_bits`)
        importance              -log of the mean over `samples` codes of p(x | z) (p(z) / q(z | x))^(w beta), with the gradients of
                                `bounds.doubly_reparameterised_bound`

    Attributes:
        beta: weight of the KL term (Higgins et al. 2017); 1 for a bound on log p(x).
        free_bits: nats of KL that cost nothing in each dimension (Kingma et al. 2016).
        samples: k, codes drawn for each picture.
        importance: whether k codes make the importance-weighted bound, or k estimates of the plain one.

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
            raise bad_value("generator.beta", self.beta, "at least 0")
        if not 0 <= self.free_bits < float("inf"):
            raise bad_value("generator.free_bits", self.free_bits, "at least 0 nats")
        if self.samples < 1:
            raise bad_value("generator.samples", self.samples, "at least 1")
        if self.weighted and self.free_bits:
            raise InputError(
                f"generator.free_bits: the importance-weighted bound of {self.samples} samples has no KL term; take 0, or 1 sample"
            )

    @property
    def weighted(self) -> bool:
        """Whether training climbs the importance-weighted bound."""
        return self.importance and self.samples > 1


@dataclass(frozen=True)
class Terms:
    """The parts of a loss, in nats.

    Attributes:
        loss: what training minimises, (N).
        log_likelihood: log p(x | z), mean over the codes drawn, (N).
        kl: KL(q(z_j | x) || p(z_j)), (N, D).
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor

    @property
    def bound(self) -> Tensor:
        """L_b = log p(x | z) - KL, by the codes drawn: (N)."""
        return self.log_likelihood - self.kl.sum(1)


class VAE(nn.Module):
    """p(x) = integral of p(x | z) N(z; 0, I), with an encoder that says which codes a picture may have.

    Args:
        shape: (C, H, W) of the pictures.
        code: D.
        levels: how uint8 pictures become values, and back.
        output: one of `seewhy.models.latent.outputs.DISTRIBUTIONS`.
        coder: what encoder and decoder are built from; None for 784-200-200-D in tanh.
        objective: what training minimises; None for the plain bound.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        code: int = 50,
        levels: Levels | None = None,
        output: str = "bernoulli",
        coder: CoderDesign | None = None,
        objective: Objective | None = None,
    ) -> None:
        super().__init__()
        self.objective = objective or Objective()
        self.coders = Coders(
            shape,
            code=code,
            features=2 * code,
            levels=levels or Levels(2),
            output=output,
            design=coder or CoderDesign(),
        )

    def prepare(self, images: Tensor) -> None:
        """Let every value start at its mean over training images, uint8 (N, C, H, W)."""
        self.coders.prepare(images)

    def encode(self, values: Tensor, labels: Tensor | None = None) -> Posterior:
        """Return q(z | x) of values (N, C, H, W)."""
        mean, log_scale = self.coders.encode(values, labels).chunk(2, dim=1)
        return Posterior(mean, log_scale)

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return maps (*, N, P, H, W) of codes (*, N, D): the parameters of p(x | z), see `seewhy.models.latent.outputs`."""
        return self.coders.decode(codes, labels)

    def loss(self, images: Tensor, labels: Tensor | None = None, *, kl_weight: float = 1.0) -> Terms:
        """Return the terms of the loss of uint8 images (N, C, H, W), codes and stochastic values from torch's own generator.

        Args:
            images: uint8 (N, C, H, W).
            labels: int64 (N) where the model is conditioned on classes.
            kl_weight: w, from 0 to 1 as the KL is warmed up (Bowman et al. 2016; Sonderby et al. 2016).
        """
        return self.terms(self.coders.values(images, labels), labels, kl_weight=kl_weight)

    def terms(self, values: Tensor, labels: Tensor | None = None, *, kl_weight: float = 1.0) -> Terms:
        """Return the terms of the loss of values (N, C, H, W); see `loss`."""
        aim = self.objective
        posterior = self.encode(values, labels)
        codes, _ = posterior.draw(aim.samples)
        found = self.coders.output.log_likelihood(self.decode(codes, labels), values)
        kl, mean = posterior.kl(), found.mean(0)
        if aim.weighted:
            bound = doubly_reparameterised_bound(posterior, codes, found, kl_weight * aim.beta)
            return Terms(-bound, mean, kl)
        return Terms(kl_weight * aim.beta * free_bits(kl, aim.free_bits) - mean, mean, kl)

    def forward(self, images: Tensor, labels: Tensor | None = None, *, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """Return `loss` as a dictionary, which wrappers of modules pass on.

        loss: (N), with its graph. Detached: bound, L_b (N); reconstruction, -log p(x | z) (N); kl, sum over dimensions (N).
        """
        terms = self.loss(images, labels, kl_weight=kl_weight)
        kl, found = terms.kl.detach().sum(1), terms.log_likelihood.detach()
        return {"loss": terms.loss, "bound": found - kl, "reconstruction": -found, "kl": kl}

    @torch.no_grad()
    def log_likelihood(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the importance-weighted bound L_k on log p(x), in nats, float32 (N); with 5000 samples it is the customary estimate.

        Equal generators give equal figures for equal images and samples. Memory does not grow with the samples.

        Args:
            images: uint8 (N, C, H, W).
            labels: int64 (N) where the model is conditioned on classes.
            samples: k.
            generator: source of stochastic values and codes.

        Raises:
            InputError: samples is not positive, or images and labels do not fit the model.
        """
        if samples < 1:
            raise bad_value("samples", samples, "at least 1")
        values = self.coders.values(images, labels, generator)
        at_once = max(1, ROWS // samples)
        found = []
        for start in range(0, len(values), at_once):
            own = slice(start, start + at_once)
            found.append(self._bound(values[own], None if labels is None else labels[own], samples, generator))
        return torch.cat(found) if found else torch.zeros(0)

    def _bound(self, values: Tensor, labels: Tensor | None, samples: int, generator: torch.Generator | None) -> Tensor:
        """Return L_k of a few pictures, from at most ROWS codes at a time."""
        posterior = self.encode(values, labels)
        weights = []
        for done in range(0, samples, ROWS):
            codes, noise = posterior.draw(min(ROWS, samples - done), generator)
            found = self.coders.output.log_likelihood(self.decode(codes, labels), values)
            weights.append(found + posterior.log_prior_ratio(codes, noise))
        return importance_bound(torch.cat(weights))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        pixels: bool = False,
    ) -> Tensor:
        """Return n pictures of codes drawn from the prior, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the model is conditioned on classes.
            generator: source of all draws; equal states give equal pictures.
            temperature: deviation of the codes; 1 for the prior's, below it likelier pictures.
            pixels: whether pixels are drawn too, as p(x) has it; else each is its mean given the code, as figures usually show.

        Raises:
            InputError: n or the temperature is negative, or the labels do not fit.
        """
        if n < 0:
            raise bad_value("n", n, "at least 0")
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        check_labels(labels, self.coders.classes, n)
        codes = torch.randn(n, self.coders.code, generator=generator, device=self.coders.centre.device) * temperature
        return self.pictures(codes, labels, generator=generator, pixels=pixels)

    def pictures(
        self,
        codes: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        pixels: bool = False,
    ) -> Tensor:
        """Return the pictures of codes (*, N, D), uint8 (*, N, C, H, W); `pixels` as in `sample`."""
        return self.coders.pictures(codes, labels, generator, pixels=pixels)

    @torch.no_grad()
    def posterior(
        self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Posterior:
        """Return q(z | x) of uint8 images (N, C, H, W); the generator is the source of stochastic values."""
        return self.encode(self.coders.values(images, labels, generator), labels)

    def reconstruct(
        self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the images as decoded from a code drawn for each, uint8 (N, C, H, W)."""
        codes, _ = self.posterior(images, labels, generator).draw(1, generator)
        return self.pictures(codes[0], labels)

    def describe(
        self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> CodeUse:
        """Return how the code is used, over a batch of at least 2 images."""
        posterior = self.posterior(images, labels, generator)
        return CodeUse(posterior.kl().mean(0), active_units(posterior.mean), information(posterior, generator))


@dataclass(frozen=True)
class CodeUse:
    """What a model puts into its code.

    Attributes:
        kl: mean over images of KL(q(z_j | x) || p(z_j)) in nats, (D).
        active: dimensions whose posterior mean differs between images, bool (D): see `seewhy.models.latent.bounds.active_units`.
        information: where the sum of the KLs goes.
    """

    kl: Tensor
    active: Tensor
    information: Information
