"""The game: a generator and a discriminator, taught in turns.

A turn of the discriminator moves its weights alone, on real pictures and drawn ones; a turn of the generator moves its own, through a
discriminator that stands still. Letters as in `seewhy.models.adversarial.losses`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.adversarial.losses import LOSSES, Loss
from seewhy.models.adversarial.networks import RANGES, Discriminator, Generator
from seewhy.models.adversarial.penalty import gradient_penalty

Player = Literal["discriminator", "generator"]
PLAYERS: tuple[Player, ...] = ("discriminator", "generator")

CHUNK = 500
"""Pictures drawn at once."""


@dataclass(frozen=True)
class Terms:
    """A loss and what is worth telling of it.

    Attributes:
        loss: what the player minimises, a scalar with its graph.
        real: E D(x), detached; None in the generator's turn, which sees no real pictures.
        fake: E D(y), detached.
        penalty: the gradient penalty before its weight, detached; None where there is none.
    """

    loss: Tensor
    real: Tensor | None
    fake: Tensor
    penalty: Tensor | None = None

    def figures(self) -> dict[str, float]:
        """Return the figures that there are, by name."""
        named = {"loss": self.loss, "real": self.real, "fake": self.fake, "penalty": self.penalty}
        return {name: value.item() for name, value in named.items() if value is not None}


def discriminator_terms(
    generator: Generator,
    discriminator: Discriminator,
    loss: Loss,
    real: Tensor,
    labels: Tensor | None = None,
    *,
    penalty: float = 0.0,
) -> Terms:
    """Return the discriminator's loss on floating data x (N, *shape) and as many drawn ones of the same classes; the generator gets no gradient.

    Noise is drawn from torch's global generator.
    """
    discriminator.constrain()
    with torch.no_grad():
        fake = generator(generator.noise.draw(len(real), device=real.device), labels)
    if discriminator.mixes:  # statistics of real and drawn pictures are kept apart, as in the paper
        on_real, on_fake = discriminator(real, labels), discriminator(fake, labels)
    else:
        twice = None if labels is None else labels.repeat(2)
        on_real, on_fake = discriminator(torch.cat([real, fake]), twice).chunk(2)
    total, found = loss.discriminator(on_real, on_fake), None
    if penalty:
        found = gradient_penalty(discriminator, real, fake, labels)
        total, found = total + penalty * found, found.detach()
    return Terms(total, on_real.detach().mean(), on_fake.detach().mean(), found)


def generator_terms(
    generator: Generator, discriminator: Discriminator, loss: Loss, z: Tensor, labels: Tensor | None = None
) -> Terms:
    """Return the generator's loss on pictures drawn from z; the discriminator's weights get no gradient, now or in the backward pass."""
    fake = generator(z, labels)
    with frozen(discriminator):
        on_fake = discriminator(fake, labels)
    return Terms(loss.generator(on_fake), None, on_fake.detach().mean())


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Hold a module's weights still for a while: what is computed with them gives them no gradient, and spends no time on it."""
    moving = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)


class GAN(nn.Module):
    """A generator and a discriminator of uint8 pictures.

    Args:
        generator: draws them.
        discriminator: of the same shape and classes.
        loss: one of `LOSSES`.
        penalty: weight of the gradient penalty; None for the loss's usual one.
        turns: steps of the discriminator for one of the generator; None for the loss's usual number.

    Raises:
        InputError: the two do not fit together, a name is not known, or a number is out of range.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        *,
        loss: str = "non_saturating",
        penalty: float | None = None,
        turns: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = LOSSES[loss].factory()
        self.penalty = self.loss.penalty if penalty is None else penalty
        self.turns = self.loss.turns if turns is None else turns
        _check(generator, discriminator, self.penalty, self.turns)
        self.generator, self.discriminator = generator, discriminator

    @contextmanager
    def only(self, player: Player) -> Iterator[None]:
        """Let one player's weights have gradients, and hold the other's still."""
        if player not in PLAYERS:
            raise unknown_name("player", player, PLAYERS)
        with frozen(self.generator if player == "discriminator" else self.discriminator):
            yield

    def prepare(self, images: Tensor) -> None:
        """Compute what depends on training images, uint8 (N, C, H, W), once before training."""
        self.generator.fit(self.scaled(images))

    def scaled(self, images: Tensor) -> Tensor:
        """Return uint8 pictures as float32 within the range of the generator's output."""
        low, high = RANGES[self.generator.output]
        return images.to(torch.float32) * ((high - low) / 255.0) + low

    def pictures(self, x: Tensor) -> Tensor:
        """Return floating pictures of the generator's range as uint8."""
        low, high = RANGES[self.generator.output]
        return ((x - low) * (255.0 / (high - low))).round().clamp(0, 255).to(torch.uint8)

    def forward(self, images: Tensor, labels: Tensor | None = None, *, player: Player = "discriminator") -> Terms:
        """Return the terms of a player's turn; of the images, a turn of the generator takes only the number."""
        if player == "generator":
            return self.generator_loss(len(images), labels)
        return self.discriminator_loss(images, labels)

    def discriminator_loss(self, images: Tensor, labels: Tensor | None = None) -> Terms:
        """Return what the discriminator minimises on uint8 images (N, C, H, W); the generator gets no gradient."""
        return discriminator_terms(
            self.generator, self.discriminator, self.loss, self.scaled(images), labels, penalty=self.penalty
        )

    def generator_loss(self, n: int, labels: Tensor | None = None) -> Terms:
        """Return what the generator minimises on n drawn pictures; the discriminator's weights get no gradient."""
        return generator_terms(self.generator, self.discriminator, self.loss, self.noise(n), labels)

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return noise, float32 (n, Z), on the network's device."""
        return self.generator.noise.draw(n, generator, next(self.parameters()).device)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return n drawn pictures, uint8 (n, C, H, W), in eval mode.

        Args:
            n: how many.
            labels: int64 (n) where the networks are told classes.
            generator: source of the noise; equal states give equal pictures.
            temperature: what the noise is multiplied by: below 1 pictures are more alike, at 0 all the same (of a class).

        Raises:
            InputError: the temperature is negative, or the labels do not fit.
        """
        if not 0 <= temperature < float("inf"):
            raise bad_value("temperature", temperature, "at least 0")
        z = self.noise(n, generator) * temperature
        drawn = [torch.empty(0, *self.generator.shape, dtype=torch.uint8, device=z.device)]
        for start in range(0, n, CHUNK):
            some = slice(start, start + CHUNK)
            drawn.append(self.pictures(self.generator(z[some], None if labels is None else labels[some])))
        return torch.cat(drawn).contiguous()


def _check(generator: Generator, discriminator: Discriminator, penalty: float, turns: int) -> None:
    if generator.shape != discriminator.shape or generator.classes != discriminator.classes:
        raise InputError(
            "discriminator: must have the generator's shape and classes "
            f"{generator.shape}, {generator.classes}, got {discriminator.shape}, {discriminator.classes}"
        )
    if not 0 <= penalty < float("inf"):
        raise bad_value("generator.penalty", penalty, "at least 0 and finite")
    if penalty and discriminator.mixes:
        raise InputError(
            "generator.penalty: needs each picture's own slope, but the discriminator has batch normalisation; choose another"
        )
    if turns < 1:
        raise bad_value("generator.turns", turns, "at least 1")
