"""What a latent-variable model is built from beside its name."""

from __future__ import annotations

from dataclasses import dataclass, field

from seewhy.core.errors import bad_value
from seewhy.models.choices import ActivationChoice, Choice
from seewhy.models.intensity import IntensityLevels
from seewhy.models.latent.architectures import ARCHITECTURES, Architecture
from seewhy.models.latent.likelihoods import LIKELIHOODS, Likelihood
from seewhy.nn import Activation


@dataclass(frozen=True, kw_only=True)
class LatentDesign:
    """The choices of an autoencoder or a variational autoencoder. The usual ones are 784-200-200-50 in tanh of Burda et al. (2016).

    Attributes:
        latent_dim: D, the dimension of a latent vector.
        levels: how uint8 images become values, and back.
        likelihood: one of `seewhy.models.latent.LIKELIHOODS`.
        architecture: one of `seewhy.models.latent.ARCHITECTURES`.
        width: units of a hidden layer, or features of the largest maps.
        depth: hidden layers, or halvings of the image.
        activation: one of `seewhy.nn.ACTIVATIONS`, its factory, or a choice with options.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    latent_dim: int = 50
    levels: IntensityLevels = field(default_factory=IntensityLevels)
    likelihood: str = "bernoulli"
    architecture: str = "dense"
    width: int = 200
    depth: int = 2
    activation: Activation | Choice | str = "tanh"

    def __post_init__(self) -> None:
        for name in ("latent_dim", "width", "depth"):
            if getattr(self, name) < 1:
                raise bad_value(name, getattr(self, name), "at least 1")
        ARCHITECTURES[self.architecture]
        self.pixel_likelihood()
        ActivationChoice.of(self.activation)

    def pixel_likelihood(self) -> Likelihood:
        """Return the distribution of an image's values, given its latent."""
        return LIKELIHOODS[self.likelihood].factory(levels=self.levels.count)

    def networks(self, classes: int | None) -> Architecture:
        """Return what makes encoders and decoders."""
        activation = ActivationChoice.of(self.activation)
        return ARCHITECTURES[self.architecture].factory(
            width=activation.width(self.width), depth=self.depth, activation=activation.activation, classes=classes
        )
