"""Adversarial training as an objective: every step updates the discriminator and, when it is due, the generator, on the same batch.

One optimiser holds the weights of both; it moves those that have gradients, so that each network's state goes on by its own updates and is saved
with the other's. Whether an update is due depends on the step alone, which a run that resumes from a checkpoint knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from torch import Tensor, nn

from seewhy.models.adversarial.gan import GAN, AdversarialTerms, Network
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.family import Inputs, Objective, StepResult, Update
from seewhy.models.generative import augment_of
from seewhy.spec import RunSpec
from seewhy.spec.adversarial import GANSection

METRICS = ("discriminator_loss", "generator_loss", "real", "fake")
"""Both losses, and the mean outputs of the discriminator for real and for generated images."""


def adversarial_objective(spec: RunSpec) -> Objective:
    """Return the objective of a resolved specification. Neither loss measures how good the images are, so the last epoch is the best."""
    assert isinstance(spec.model, GANSection)
    critic_steps = spec.model.critic_steps or LOSSES[spec.model.loss].factory().critic_steps
    discriminator = _update("discriminator", _discriminator_sums, conditional=spec.model.conditional)
    generator = _update("generator", partial(_generator_sums, critic_steps), conditional=spec.model.conditional)

    def updates(step: int) -> Sequence[Update]:
        due = (step + 1) % critic_steps == 0
        return (discriminator, generator) if due else (discriminator,)

    return Objective(
        metrics=METRICS, updates=updates, score=lambda row: [row["step"]], augment=augment_of(spec.reg), validate=None
    )


Sums = Callable[[AdversarialTerms, int], dict[str, Tensor]]


def _update(network: Network, sums: Sums, *, conditional: bool) -> Update:
    """Return the update of one of the two networks."""

    def forward(model: Callable[..., Any], inputs: Inputs) -> AdversarialTerms:
        terms = model(inputs.images, inputs.labels if conditional else None, network=network)
        assert isinstance(terms, AdversarialTerms)
        return terms

    def criterion(terms: AdversarialTerms, inputs: Inputs) -> StepResult:
        return StepResult(terms.loss, sums(terms, len(inputs)), len(inputs))

    return Update(network, forward, criterion, partial(_training_only, network), direct=True)


def _training_only(network: Network, model: nn.Module) -> AbstractContextManager[None]:
    assert isinstance(model, GAN)
    return model.training_only(network)


def _discriminator_sums(terms: AdversarialTerms, count: int) -> dict[str, Tensor]:
    assert terms.real is not None
    values = {"discriminator_loss": terms.loss.detach(), "real": terms.real, "fake": terms.fake}
    return {name: value.float() * count for name, value in values.items()}


def _generator_sums(critic_steps: int, terms: AdversarialTerms, count: int) -> dict[str, Tensor]:
    """Where the generator moves every k-th step only, its loss counts for k steps."""
    return {"generator_loss": (terms.loss.detach() * critic_steps).float() * count}
