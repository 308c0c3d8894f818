"""What generator and discriminator play for: pairs of losses on the discriminator's logits.

Letters: D(x) the logit of a picture, high for "real"; x a real picture, y = G(z) a drawn one; s the logistic sigmoid; E the mean over a batch.
log s(t) = -softplus(-t) and log(1 - s(t)) = -softplus(t), so no logarithm of a number that rounds to 0 is ever taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from seewhy.core.registry import Registry, Technique


@dataclass(frozen=True)
class Loss:
    """What each player minimises.

    Attributes:
        discriminator: f(D(x), D(y)), logits of any shapes, to a scalar.
        generator: f(D(y)), logits of any shape, to a scalar.
        penalty: the usual weight of the gradient penalty beside it, see `seewhy.models.adversarial.penalty`.
        turns: the usual steps of the discriminator for one of the generator.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    penalty: float = 0.0
    turns: int = 1


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E log s(D(x)) - E log(1 - s(D(y))): the cross-entropy of telling real from drawn (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def not_caught(fake: Tensor) -> Tensor:
    """Return E log(1 - s(D(y))): what the discriminator maximises, minimised (Goodfellow et al. 2014, equation 1)."""
    return -F.softplus(fake).mean()


def taken_for_real(fake: Tensor) -> Tensor:
    """Return -E log s(D(y)): its gradient stays where the discriminator is sure (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def distance(real: Tensor, fake: Tensor) -> Tensor:
    """Return E D(y) - E D(x): minus the Wasserstein distance, if D is 1-Lipschitz and the best of those (Arjovsky et al. 2017)."""
    return fake.mean() - real.mean()


def approval(fake: Tensor) -> Tensor:
    """Return -E D(y)."""
    return -fake.mean()


def margins(real: Tensor, fake: Tensor) -> Tensor:
    """Return E max(0, 1 - D(x)) + E max(0, 1 + D(y)) (Lim & Ye 2017; Miyato et al. 2018)."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


def minimax() -> Loss:
    """Make the game of one value, which one player minimises and the other maximises."""
    return Loss(told_apart, not_caught)


def non_saturating() -> Loss:
    """Make the game whose generator maximises the chance of being taken for real."""
    return Loss(told_apart, taken_for_real)


def wasserstein() -> Loss:
    """Make the game for the Wasserstein distance; the gradient penalty keeps D near 1-Lipschitz."""
    return Loss(distance, approval, penalty=10.0, turns=5)


def hinge() -> Loss:
    """Make the game of margins; spectral normalisation keeps D 1-Lipschitz."""
    return Loss(margins, approval)


LOSSES: Registry[Callable[[], Loss]] = Registry("adversarial losses", "generator.loss")
LOSSES.add(
    Technique(
        name="minimax",
        factory=minimax,
        summary="one value, for which discriminator and generator play against each other",
        formula="D: -E log s(D(x)) - E log(1 - s(D(y))); G: E log(1 - s(D(y)))",
        source="Goodfellow et al. 2014, 1406.2661, equation 1",
        good_for="the theory: at the best D it is the Jensen-Shannon divergence",
        bad_for="training: the generator's gradient vanishes where the discriminator is sure",
    )
)
LOSSES.add(
    Technique(
        name="non_saturating",
        factory=non_saturating,
        summary="the generator maximises the chance of being taken for real",
        formula="D: -E log s(D(x)) - E log(1 - s(D(y))); G: -E log s(D(y))",
        source="Goodfellow et al. 2014, 1406.2661, section 3",
        good_for="most pictures, with a step of the discriminator for each of the generator",
        bad_for="reading progress off it: the loss tells nothing about the pictures",
    )
)
LOSSES.add(
    Technique(
        name="wasserstein",
        factory=wasserstein,
        summary="the Wasserstein distance, by a discriminator that the gradient penalty keeps smooth",
        formula="D: E D(y) - E D(x) + lambda E (|grad D| - 1)^2; G: -E D(y)",
        source="Arjovsky et al. 2017, 1701.07875; Gulrajani et al. 2017, 1704.00028",
        good_for="stability, and a loss that falls as pictures get better",
        bad_for="time: five steps of the discriminator, each differentiated twice",
    )
)
LOSSES.add(
    Technique(
        name="hinge",
        factory=hinge,
        summary="margins around 0, by a discriminator with spectral normalisation",
        formula="D: E max(0, 1 - D(x)) + E max(0, 1 + D(y)); G: -E D(y)",
        source="Lim & Ye 2017, 1705.02894; Miyato et al. 2018, 1802.05957",
        good_for="stability at little cost; pictures of classes",
        bad_for="a discriminator without spectral normalisation, whose margins mean nothing",
    )
)
