"""The losses against their formulas in plain logarithms, and against what the papers say of their gradients."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.adversarial.losses import LOSSES, AdversarialLoss

REAL = torch.tensor([-3.0, -0.2, 0.7, 2.5], dtype=torch.float64)
FAKE = torch.tensor([-2.0, 0.1, 0.4, 3.0], dtype=torch.float64)


def plain(name, real, fake):
    """The pair as the papers print it, with sigmoids and logarithms."""
    s_real, s_fake = 1 / (1 + torch.exp(-real)), 1 / (1 + torch.exp(-fake))
    cross = -(torch.log(s_real)).mean() - (torch.log(1 - s_fake)).mean()
    zero = torch.zeros_like(real)
    return {
        "minimax": (cross, torch.log(1 - s_fake).mean()),
        "non_saturating": (cross, -torch.log(s_fake).mean()),
        "wasserstein": (fake.mean() - real.mean(), -fake.mean()),
        "hinge": (torch.maximum(zero, 1 - real).mean() + torch.maximum(zero, 1 + fake).mean(), -fake.mean()),
    }[name]


@pytest.mark.parametrize("name", LOSSES.names())
def test_losses_are_the_papers_formulas(name):
    loss = LOSSES[name].factory()
    assert isinstance(loss, AdversarialLoss)
    discriminator, generator = plain(name, REAL, FAKE)
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), discriminator)
    torch.testing.assert_close(loss.generator(FAKE), generator)


@pytest.mark.parametrize("name", LOSSES.names())
def test_better_logits_have_a_lower_loss_for_both_networks(name):
    loss = LOSSES[name].factory()
    assert loss.discriminator(REAL + 0.1, FAKE) < loss.discriminator(REAL, FAKE)
    assert loss.discriminator(REAL, FAKE - 0.1) < loss.discriminator(REAL, FAKE)
    assert loss.generator(FAKE + 0.1) < loss.generator(FAKE)


@pytest.mark.parametrize("name", LOSSES.names())
def test_far_logits_have_finite_losses_and_gradients(name):
    loss = LOSSES[name].factory()
    far = torch.tensor([-300.0, 300.0], requires_grad=True)
    total = loss.discriminator(far, far) + loss.generator(far)
    total.backward()
    assert total.isfinite()
    assert far.grad.isfinite().all()


def test_the_minimax_generator_is_left_without_gradient_where_the_other_is_not():
    sure = {}
    for name in ("minimax", "non_saturating"):
        logit = torch.tensor([-20.0], requires_grad=True)
        LOSSES[name].factory().generator(logit).backward()
        sure[name] = logit.grad.abs().item()
    assert sure["minimax"] < 1e-8
    assert sure["non_saturating"] > 0.999


def test_minimax_has_one_value():
    loss = LOSSES["minimax"].factory()
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    (of_discriminator,) = torch.autograd.grad(loss.discriminator(real, fake), fake)
    (of_generator,) = torch.autograd.grad(loss.generator(fake), fake)
    torch.testing.assert_close(of_discriminator, -of_generator)


def test_at_the_best_discriminator_the_value_is_the_jensen_shannon_divergence():
    p, q = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64), torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    logits = torch.log(p / q)  # D* = p / (p + q)
    # The means weighted by p and q, by repeating each point in proportion.
    real, fake = logits.repeat_interleave((p * 10).round().long()), logits.repeat_interleave((q * 10).round().long())
    middle = (p + q) / 2
    divergence = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    value = LOSSES["minimax"].factory().discriminator(real, fake)
    torch.testing.assert_close(value, 2 * torch.log(torch.tensor(2.0, dtype=torch.float64)) - 2 * divergence)


def test_an_unknown_loss_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"loss: 'wassertein'.*did you mean 'wasserstein'"):
        LOSSES["wassertein"]
