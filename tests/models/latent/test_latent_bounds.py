"""Bounds, KLs and what they say of a latent, against closed forms."""

import math

import pytest
import torch
from torch import distributions as twins

from seewhy.core.errors import InputError
from seewhy.models.latent.bounds import (
    Posterior,
    active_units,
    doubly_reparameterised_bound,
    free_bits,
    importance_bound,
    information,
)


def posterior(n=6, dimensions=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    mean, log_scale = torch.randn(2, n, dimensions, dtype=torch.float64, generator=rng).unbind(0)
    return Posterior(mean, 0.5 * log_scale)


def test_kl_is_that_of_torch():
    q = posterior()
    twin = twins.kl_divergence(twins.Normal(q.mean, q.log_scale.exp()), twins.Normal(0.0, 1.0))
    torch.testing.assert_close(q.kl(), twin)


def test_samples_have_the_density_that_their_ratio_says():
    q = posterior()
    latents, noise = q.sample(3, torch.Generator().manual_seed(1))
    assert latents.shape == noise.shape == (3, 6, 4)
    torch.testing.assert_close(latents, q.mean + q.log_scale.exp() * noise)
    ratio = twins.Normal(0.0, 1.0).log_prob(latents) - twins.Normal(q.mean, q.log_scale.exp()).log_prob(latents)
    torch.testing.assert_close(q.log_prior_ratio(latents, noise), ratio.sum(-1))


def test_reparameterised_gradient_is_that_of_finite_differences():
    """Of E_q z^2 + sin z with fixed noise, in each mean and log-deviation."""
    q = posterior(n=2, dimensions=3)

    def value(mean, log_scale):
        latents, _ = Posterior(mean, log_scale).sample(50, torch.Generator().manual_seed(3))
        return (latents.square() + latents.sin()).mean(0).sum()

    mean, log_scale = q.mean.clone().requires_grad_(), q.log_scale.clone().requires_grad_()
    gradients = torch.autograd.grad(value(mean, log_scale), (mean, log_scale))
    for gradient, which in zip(gradients, (0, 1), strict=True):
        for index in range(6):
            step = torch.zeros(6, dtype=torch.float64)
            step[index] = 1e-6
            parts = [q.mean, q.log_scale]
            sides = []
            for sign in (1, -1):
                moved = [part + sign * step.view(2, 3) if i == which else part for i, part in enumerate(parts)]
                sides.append(value(*moved))
            assert gradient.flatten()[index].item() == pytest.approx((sides[0] - sides[1]).item() / 2e-6, rel=1e-5)


def test_importance_bound_is_the_logarithm_of_a_mean():
    weights = torch.tensor([[1.0, 1e-30], [3.0, 3e-30]], dtype=torch.float64)
    torch.testing.assert_close(importance_bound(weights.log()), torch.tensor([2.0, 2e-30], dtype=torch.float64).log())


def test_free_bits_hold_a_floor_under_the_mean_of_each_dimension():
    kl = torch.tensor([[0.1, 2.0, 0.9], [0.2, 0.0, 0.3]], dtype=torch.float64, requires_grad=True)
    paid = free_bits(kl, 0.5)
    torch.testing.assert_close(paid.mean(), torch.tensor(0.5 + 1.0 + 0.6, dtype=torch.float64))
    torch.testing.assert_close(paid, torch.tensor([0.5 + 2.0 + 0.9, 0.5 + 0.0 + 0.3], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(paid.sum(), kl)
    assert gradient.tolist() == [[0, 1, 1], [0, 1, 1]]
    torch.testing.assert_close(free_bits(kl, 0.0), kl.sum(1))


def test_active_units_are_those_whose_mean_varies():
    turns = torch.linspace(-1, 1, 101).double()
    scale = math.sqrt(0.01 / turns.var().item())
    means = torch.stack([torch.full_like(turns, 7.0), turns * scale * 0.99, turns * scale * 1.01], 1)
    assert active_units(means).tolist() == [False, False, True]
    assert active_units(means, threshold=0.0).tolist() == [False, True, True]
    with pytest.raises(InputError, match="at least 2"):
        active_units(means[:1])


def test_information_of_latents_that_identify_their_image_is_log_n():
    means = torch.eye(32) * 100.0
    estimate = information(Posterior(means, torch.zeros(32, 32)))
    assert estimate.mutual == pytest.approx(math.log(32), abs=1e-9)
    assert estimate.kl == pytest.approx(0.5 * 100**2)
    assert estimate.aggregate == pytest.approx(estimate.kl - estimate.mutual)
    assert estimate.images == 32


def test_information_of_latents_that_encode_nothing_is_none():
    same = Posterior(torch.full((50, 3), 2.0), torch.full((50, 3), -1.0))
    estimate = information(same)
    assert estimate.mutual == pytest.approx(0.0, abs=1e-9)
    assert estimate.aggregate == pytest.approx(same.kl().sum(1).mean().item(), rel=1e-6)


def test_information_of_a_gaussian_channel(monkeypatch):
    """Posterior means of variance a and noise of variance 1 - a: q(z) = N(0, I), and I = -log(1 - a) / 2 a dimension."""
    share, n = 0.6, 3000
    rng = torch.Generator().manual_seed(0)
    means = torch.randn(n, 2, generator=rng, dtype=torch.float64) * math.sqrt(share)
    q = Posterior(means, torch.full((n, 2), 0.5 * math.log(1 - share), dtype=torch.float64))
    estimate = information(q, torch.Generator().manual_seed(1))
    assert estimate.mutual == pytest.approx(-math.log(1 - share), abs=0.05)
    assert estimate.aggregate == pytest.approx(0.0, abs=0.05)
    monkeypatch.setattr("seewhy.models.latent.bounds.BLOCK", 7 * n)
    assert information(q, torch.Generator().manual_seed(1)).mutual == pytest.approx(estimate.mutual, rel=1e-9)


def pathwise(posterior, latents, noise, target, beta):
    """Return the bound of a sharp likelihood around a target, by the plain spelling: weights through q's own parameters."""
    return importance_bound(likelihood(latents, target) + beta * posterior.log_prior_ratio(latents, noise))


def likelihood(latents, target):
    return -2.0 * (latents - target).square().sum(-1)


@pytest.mark.parametrize("beta", [1.0, 0.3, 2.0])
def test_doubly_reparameterised_gradients_have_the_mean_of_the_plain_ones(beta):
    """Of 200,000 samples from one posterior, whose gradients are separated by leaves of their own."""
    n, target = 200_000, torch.tensor([0.8, -0.3], dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    by_name = {}
    for name in ("plain", "doubly"):
        mean = torch.tensor([0.3, 0.4], dtype=torch.float64).repeat(n, 1).requires_grad_()
        log_scale = torch.tensor([-0.2, -1.0], dtype=torch.float64).repeat(n, 1).requires_grad_()
        posterior = Posterior(mean, log_scale)
        latents, noise = posterior.sample(3, rng.manual_seed(0))
        centre = target.clone().requires_grad_()
        if name == "plain":
            bound = pathwise(posterior, latents, noise, centre, beta)
        else:
            bound = doubly_reparameterised_bound(posterior, latents, likelihood(latents, centre), beta)
        slopes = torch.autograd.grad(bound.sum(), (mean, log_scale, centre))
        by_name[name] = (bound.detach(), slopes[2], torch.cat(slopes[:2], 1))
    torch.testing.assert_close(by_name["doubly"][0], by_name["plain"][0])
    # The decoder's gradient is the usual one, sample by sample.
    torch.testing.assert_close(by_name["doubly"][1], by_name["plain"][1])
    difference = by_name["doubly"][2] - by_name["plain"][2]
    error = difference.std(0) / math.sqrt(n)
    assert (difference.mean(0).abs() < 4 * error).all()
    assert (error > 0).all()
    assert (by_name["plain"][2].mean(0).abs() > 20 * error).any()


def test_doubly_reparameterised_gradients_vanish_where_the_posterior_is_true():
    """There every weight is the evidence, so that nothing is left to climb: the plain gradient is noise of mean 0."""
    scale = math.sqrt(0.2)  # of N(0, 1) exp(-2 (z - t)^2): precision 1 + 4, mean 4 t / 5
    target = torch.tensor([0.5], dtype=torch.float64)
    mean, log_scale = (
        torch.full((9, 1), value, dtype=torch.float64).requires_grad_() for value in (0.4, math.log(scale))
    )
    posterior = Posterior(mean, log_scale)
    latents, noise = posterior.sample(4, torch.Generator().manual_seed(0))
    doubly = doubly_reparameterised_bound(posterior, latents, likelihood(latents, target), 1.0)
    for slope in torch.autograd.grad(doubly.sum(), (mean, log_scale)):
        assert slope.abs().max() < 1e-12
    latents, noise = posterior.sample(4, torch.Generator().manual_seed(0))
    plain = pathwise(posterior, latents, noise, target, 1.0)
    assert torch.autograd.grad(plain.sum(), mean)[0].abs().max() > 0.1
