"""Adversarial training: a generator and a discriminator, whose steps alternate.

A step of the discriminator moves its weights alone, on real images and generated ones; a step of the generator moves its own, through a
discriminator that is frozen. Letters as in `seewhy.models.adversarial.losses`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.adversarial.losses import LOSSES, AdversarialLoss
from seewhy.models.adversarial.networks import RANGES, Discriminator, Generator
from seewhy.models.adversarial.penalty import gradient_penalty

Network = Literal["discriminator", "generator"]
NETWORKS: tuple[Network, ...] = ("discriminator", "generator")

CHUNK = 500
"""Images sampled at once."""


@dataclass(frozen=True)
class AdversarialTerms:
    """A loss and what belongs to it.

    Attributes:
        loss: what the network minimises, a scalar with its graph.
        real: E D(x), detached; None in the generator's step, which sees no real images.
        fake: E D(y), detached.
        gradient_penalty: before its weight, detached; None where there is none.
    """

    loss: Tensor
    real: Tensor | None
    fake: Tensor
    gradient_penalty: Tensor | None = None


def discriminator_terms(
    generator: Generator,
    discriminator: Discriminator,
    loss: AdversarialLoss,
    real: Tensor,
    labels: Tensor | None = None,
    *,
    penalty_weight: float = 0.0,
) -> AdversarialTerms:
    """Return the discriminator's loss on floating data x (N, *shape) and as many generated ones of the same classes.

    The generator gets no gradient. Noise comes from torch's global source.
    """
    discriminator.constrain()
    with torch.no_grad():
        fake = generator(generator.noise.sample(len(real), device=real.device), labels)
    if discriminator.batch_dependent:  # statistics of real and generated images are separate, as in the paper
        on_real, on_fake = discriminator(real, labels), discriminator(fake, labels)
    else:
        twice = None if labels is None else labels.repeat(2)
        on_real, on_fake = discriminator(torch.cat([real, fake]), twice).chunk(2)
    total, penalty = loss.discriminator(on_real, on_fake), None
    if penalty_weight:
        penalty = gradient_penalty(discriminator, real, fake, labels)
        total, penalty = total + penalty_weight * penalty, penalty.detach()
    return AdversarialTerms(total, on_real.detach().mean(), on_fake.detach().mean(), penalty)


def generator_terms(
    generator: Generator, discriminator: Discriminator, loss: AdversarialLoss, z: Tensor, labels: Tensor | None = None
) -> AdversarialTerms:
    """Return the generator's loss on images generated from z; the discriminator's weights get no gradient, now or in the backward pass."""
    fake = generator(z, labels)
    with frozen(discriminator):
        on_fake = discriminator(fake, labels)
    return AdversarialTerms(loss.generator(on_fake), None, on_fake.detach().mean())


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Freeze a module's weights within the context: what is computed with them gives them no gradient, and spends no time on it."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


class GAN(nn.Module):
    """A generator and a discriminator of uint8 images.

    Args:
        generator: generates them.
        discriminator: of the same shape and classes.
        loss: one of `LOSSES`.
        gradient_penalty: its weight; None for the loss's usual one.
        critic_steps: steps of the discriminator for one of the generator; None for the loss's usual number.

    Raises:
        InputError: the two do not fit together, a name is not known, or a number is out of range.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        *,
        loss: str = "non_saturating",
        gradient_penalty: float | None = None,
        critic_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = LOSSES[loss].factory()
        self.gradient_penalty = self.loss.gradient_penalty if gradient_penalty is None else gradient_penalty
        self.critic_steps = self.loss.critic_steps if critic_steps is None else critic_steps
        _validate(generator, discriminator, self.gradient_penalty, self.critic_steps)
        self.generator, self.discriminator = generator, discriminator

    @contextmanager
    def training_only(self, network: Network) -> Iterator[None]:
        """Let one network's weights have gradients, and freeze the other's."""
        if network not in NETWORKS:
            raise unknown_name("network", network, NETWORKS)
        with frozen(self.generator if network == "discriminator" else self.discriminator):
            yield

    def prepare(self, images: Tensor) -> None:
        """Compute what depends on training images, uint8 (N, C, H, W), once before training."""
        self.generator.fit(self.scaled(images))

    def scaled(self, images: Tensor) -> Tensor:
        """Return uint8 images as float32 within the range of the generator's output."""
        low, high = RANGES[self.generator.output]
        return images.to(torch.float32) * ((high - low) / 255.0) + low

    def to_uint8(self, x: Tensor) -> Tensor:
        """Return floating images of the generator's range as uint8."""
        low, high = RANGES[self.generator.output]
        return ((x - low) * (255.0 / (high - low))).round().clamp(0, 255).to(torch.uint8)

    def forward(
        self, images: Tensor, labels: Tensor | None = None, *, network: Network = "discriminator"
    ) -> AdversarialTerms:
        """Return the terms of a network's step; of the images, a step of the generator needs only the number."""
        if network == "generator":
            return self.generator_loss(len(images), labels)
        return self.discriminator_loss(images, labels)

    def discriminator_loss(self, images: Tensor, labels: Tensor | None = None) -> AdversarialTerms:
        """Return what the discriminator minimises on uint8 images (N, C, H, W); the generator gets no gradient."""
        return discriminator_terms(
            self.generator,
            self.discriminator,
            self.loss,
            self.scaled(images),
            labels,
            penalty_weight=self.gradient_penalty,
        )

    def generator_loss(self, n: int, labels: Tensor | None = None) -> AdversarialTerms:
        """Return what the generator minimises on n generated images; the discriminator's weights get no gradient."""
        return generator_terms(self.generator, self.discriminator, self.loss, self.noise(n), labels)

    def noise(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """Return noise, float32 (n, Z), on the network's device."""
        return self.generator.noise.sample(n, rng, next(self.parameters()).device)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return n generated images, uint8 (n, C, H, W), in eval mode.

        Args:
            n: how many.
            labels: int64 (n) where the networks are class-conditional.
            rng: source of the noise; equal states give equal images.
            temperature: what the noise is multiplied by: below 1 images vary less, at 0 all are the same (of a class).

        Raises:
            InputError: the temperature is negative, or the labels do not fit.
        """
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        z = self.noise(n, rng) * temperature
        images = [torch.empty(0, *self.generator.shape, dtype=torch.uint8, device=z.device)]
        for start in range(0, n, CHUNK):
            chunk = slice(start, start + CHUNK)
            images.append(self.to_uint8(self.generator(z[chunk], None if labels is None else labels[chunk])))
        return torch.cat(images).contiguous()


def _validate(generator: Generator, discriminator: Discriminator, penalty_weight: float, critic_steps: int) -> None:
    if generator.shape != discriminator.shape or generator.classes != discriminator.classes:
        raise InputError(
            "discriminator: must have the generator's shape and classes "
            f"{generator.shape}, {generator.classes}, got {discriminator.shape}, {discriminator.classes}"
        )
    if not 0 <= penalty_weight < float("inf"):
        raise bad_value("gradient_penalty", penalty_weight, "at least 0 and finite")
    if penalty_weight and discriminator.batch_dependent:
        raise InputError(
            "gradient_penalty: needs each image's own gradient, but the discriminator has batch normalisation; choose another"
        )
    if critic_steps < 1:
        raise bad_value("critic_steps", critic_steps, "at least 1")
