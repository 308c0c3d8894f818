"""Losses of adversarial training: pairs on the discriminator's logits, one for the discriminator and one for the generator.

Letters: D(x) the logit of an image, high for "real"; x a real image, y = G(z) a generated one; s the logistic sigmoid; E the mean over a batch.
log s(t) = -softplus(-t) and log(1 - s(t)) = -softplus(t), so no logarithm of a number that rounds to 0 is ever taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from seewhy.core.registry import Registry, Technique


@dataclass(frozen=True)
class AdversarialLoss:
    """What each network minimises.

    Attributes:
        discriminator: f(D(x), D(y)), logits of any shapes, to a scalar.
        generator: f(D(y)), logits of any shape, to a scalar.
        gradient_penalty: the usual weight of the gradient penalty beside it, see `seewhy.models.adversarial.penalty`.
        critic_steps: the usual steps of the discriminator (critic) for one of the generator.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    gradient_penalty: float = 0.0
    critic_steps: int = 1


def discriminator_bce(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E log s(D(x)) - E log(1 - s(D(y))): the binary cross-entropy of real against generated (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def minimax_generator_loss(fake: Tensor) -> Tensor:
    """Return E log(1 - s(D(y))): what the discriminator maximises, minimised (Goodfellow et al. 2014, equation 1)."""
    return -F.softplus(fake).mean()


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """Return -E log s(D(y)): its gradient does not vanish where the discriminator is sure (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return E D(y) - E D(x): minus the Wasserstein distance, if D is 1-Lipschitz and the best of those (Arjovsky et al. 2017)."""
    return fake.mean() - real.mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return -E D(y)."""
    return -fake.mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return E max(0, 1 - D(x)) + E max(0, 1 + D(y)) (Lim & Ye 2017; Miyato et al. 2018)."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


def minimax() -> AdversarialLoss:
    """Make the loss of one value, which the generator minimises and the discriminator maximises."""
    return AdversarialLoss(discriminator_bce, minimax_generator_loss)


def non_saturating() -> AdversarialLoss:
    """Make the loss whose generator maximises the log-probability that the discriminator gives to real."""
    return AdversarialLoss(discriminator_bce, non_saturating_generator_loss)


def wasserstein() -> AdversarialLoss:
    """Make the loss for the Wasserstein distance; the gradient penalty keeps D near 1-Lipschitz."""
    return AdversarialLoss(critic_loss, generator_loss, gradient_penalty=10.0, critic_steps=5)


def hinge() -> AdversarialLoss:
    """Make the hinge loss; spectral normalisation keeps D 1-Lipschitz."""
    return AdversarialLoss(hinge_loss, generator_loss)


LOSSES: Registry[Callable[[], AdversarialLoss]] = Registry("adversarial losses", "loss")
LOSSES.add(
    Technique(
        name="minimax",
        factory=minimax,
        summary="one value, which the discriminator maximises and the generator minimises",
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
        summary="the generator maximises the log-probability of its images being real",
        formula="D: -E log s(D(x)) - E log(1 - s(D(y))); G: -E log s(D(y))",
        source="Goodfellow et al. 2014, 1406.2661, section 3",
        good_for="most images, with a step of the discriminator for each of the generator",
        bad_for="monitoring progress: the loss says nothing about sample quality",
    )
)
LOSSES.add(
    Technique(
        name="wasserstein",
        factory=wasserstein,
        summary="the Wasserstein distance, by a discriminator that the gradient penalty keeps smooth",
        formula="D: E D(y) - E D(x) + lambda E (|grad D| - 1)^2; G: -E D(y)",
        source="Arjovsky et al. 2017, 1701.07875; Gulrajani et al. 2017, 1704.00028",
        good_for="stability, and a loss that falls as sample quality rises",
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
        good_for="stability at little cost; class-conditional images",
        bad_for="a discriminator without spectral normalisation, whose margins mean nothing",
    )
)
