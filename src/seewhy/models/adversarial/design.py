"""What generator and discriminator are built from."""

from __future__ import annotations

from dataclasses import dataclass

from seewhy.core.errors import bad_value, unknown_name

ARCHITECTURES = ("dense", "conv")


@dataclass(frozen=True, kw_only=True)
class AdversarialDesign:
    """The choices of a generator and a discriminator.

    Attributes:
        latent_dim: Z, the dimension of the noise.
        architecture: "dense", Goodfellow et al.'s networks of 2014, or "conv", DCGAN's.
        loss: one of `seewhy.models.adversarial.LOSSES`.
        gradient_penalty: its weight; None for the loss's usual one.
        critic_steps: steps of the discriminator for one of the generator; None for the loss's usual number.
        width: units of the generator's hidden layers (dense), or features of the largest maps (conv).
        depth: hidden layers (dense), or the least number of stages (conv).

    Raises:
        InputError: the architecture is not known, or a number is out of range.
    """

    latent_dim: int = 100
    architecture: str = "conv"
    loss: str = "non_saturating"
    gradient_penalty: float | None = None
    critic_steps: int | None = None
    width: int = 64
    depth: int = 1

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise unknown_name("architecture", self.architecture, ARCHITECTURES)
        for name in ("latent_dim", "width", "depth"):
            if getattr(self, name) < 1:
                raise bad_value(name, getattr(self, name), "at least 1")
