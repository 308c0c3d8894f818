"""Bounds, KLs and what they say of a code, against closed forms."""

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
    generator = torch.Generator().manual_seed(seed)
    mean, log_scale = torch.randn(2, n, dimensions, dtype=torch.float64, generator=generator).unbind(0)
    return Posterior(mean, 0.5 * log_scale)


def test_kl_is_that_of_torch():
    q = posterior()
    twin = twins.kl_divergence(twins.Normal(q.mean, q.log_scale.exp()), twins.Normal(0.0, 1.0))
    torch.testing.assert_close(q.kl(), twin)


def test_draws_have_the_density_that_their_ratio_says():
    q = posterior()
    codes, noise = q.draw(3, torch.Generator().manual_seed(1))
    assert codes.shape == noise.shape == (3, 6, 4)
    torch.testing.assert_close(codes, q.mean + q.log_scale.exp() * noise)
    ratio = twins.Normal(0.0, 1.0).log_prob(codes) - twins.Normal(q.mean, q.log_scale.exp()).log_prob(codes)
    torch.testing.assert_close(q.log_prior_ratio(codes, noise), ratio.sum(-1))


def test_reparameterised_gradient_is_that_of_finite_differences():
    """Of E_q z^2 + sin z with fixed noise, in each mean and log-deviation."""
    q = posterior(n=2, dimensions=3)

    def value(mean, log_scale):
        codes, _ = Posterior(mean, log_scale).draw(50, torch.Generator().manual_seed(3))
        return (codes.square() + codes.sin()).mean(0).sum()

    mean, log_scale = q.mean.clone().requires_grad_(), q.log_scale.clone().requires_grad_()
    found = torch.autograd.grad(value(mean, log_scale), (mean, log_scale))
    for gradient, which in zip(found, (0, 1), strict=True):
        for place in range(6):
            step = torch.zeros(6, dtype=torch.float64)
            step[place] = 1e-6
            parts = [q.mean, q.log_scale]
            sides = []
            for sign in (1, -1):
                moved = [part + sign * step.view(2, 3) if i == which else part for i, part in enumerate(parts)]
                sides.append(value(*moved))
            assert gradient.flatten()[place].item() == pytest.approx((sides[0] - sides[1]).item() / 2e-6, rel=1e-5)


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


def test_information_of_codes_that_name_their_picture_is_log_n():
    means = torch.eye(32) * 100.0
    found = information(Posterior(means, torch.zeros(32, 32)))
    assert found.mutual == pytest.approx(math.log(32), abs=1e-9)
    assert found.kl == pytest.approx(0.5 * 100**2)
    assert found.aggregate == pytest.approx(found.kl - found.mutual)
    assert found.pictures == 32


def test_information_of_codes_that_say_nothing_is_none():
    same = Posterior(torch.full((50, 3), 2.0), torch.full((50, 3), -1.0))
    found = information(same)
    assert found.mutual == pytest.approx(0.0, abs=1e-9)
    assert found.aggregate == pytest.approx(same.kl().sum(1).mean().item(), rel=1e-6)


def test_information_of_a_gaussian_channel(monkeypatch):
    """Posterior means of variance a and noise of variance 1 - a: q(z) = N(0, I), and I = -log(1 - a) / 2 a dimension."""
    share, n = 0.6, 3000
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(n, 2, generator=generator, dtype=torch.float64) * math.sqrt(share)
    q = Posterior(means, torch.full((n, 2), 0.5 * math.log(1 - share), dtype=torch.float64))
    found = information(q, torch.Generator().manual_seed(1))
    assert found.mutual == pytest.approx(-math.log(1 - share), abs=0.05)
    assert found.aggregate == pytest.approx(0.0, abs=0.05)
    monkeypatch.setattr("seewhy.models.latent.bounds.BLOCK", 7 * n)
    assert information(q, torch.Generator().manual_seed(1)).mutual == pytest.approx(found.mutual, rel=1e-9)


def pathwise(posterior, codes, noise, target, beta):
    """Return the bound of a sharp likelihood around a target, by the plain spelling: weights through q's own parameters."""
    return importance_bound(likelihood(codes, target) + beta * posterior.log_prior_ratio(codes, noise))


def likelihood(codes, target):
    return -2.0 * (codes - target).square().sum(-1)


@pytest.mark.parametrize("beta", [1.0, 0.3, 2.0])
def test_doubly_reparameterised_gradients_have_the_mean_of_the_plain_ones(beta):
    """Of 200,000 draws from one posterior, whose own gradients are told apart by leaves of their own."""
    n, target = 200_000, torch.tensor([0.8, -0.3], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name in ("plain", "doubly"):
        mean = torch.tensor([0.3, 0.4], dtype=torch.float64).repeat(n, 1).requires_grad_()
        log_scale = torch.tensor([-0.2, -1.0], dtype=torch.float64).repeat(n, 1).requires_grad_()
        posterior = Posterior(mean, log_scale)
        codes, noise = posterior.draw(3, generator.manual_seed(0))
        centre = target.clone().requires_grad_()
        if name == "plain":
            bound = pathwise(posterior, codes, noise, centre, beta)
        else:
            bound = doubly_reparameterised_bound(posterior, codes, likelihood(codes, centre), beta)
        slopes = torch.autograd.grad(bound.sum(), (mean, log_scale, centre))
        found[name] = (bound.detach(), slopes[2], torch.cat(slopes[:2], 1))
    torch.testing.assert_close(found["doubly"][0], found["plain"][0])
    # The decoder's gradient is the usual one, draw by draw.
    torch.testing.assert_close(found["doubly"][1], found["plain"][1])
    apart = found["doubly"][2] - found["plain"][2]
    error = apart.std(0) / math.sqrt(n)
    assert (apart.mean(0).abs() < 4 * error).all()
    assert (error > 0).all()
    assert (found["plain"][2].mean(0).abs() > 20 * error).any()


def test_doubly_reparameterised_gradients_vanish_where_the_posterior_is_true():
    """There every weight is the evidence, so that nothing is left to climb: the plain gradient is noise of mean 0."""
    scale = math.sqrt(0.2)  # of N(0, 1) exp(-2 (z - t)^2): precision 1 + 4, mean 4 t / 5
    target = torch.tensor([0.5], dtype=torch.float64)
    mean, log_scale = (
        torch.full((9, 1), value, dtype=torch.float64).requires_grad_() for value in (0.4, math.log(scale))
    )
    posterior = Posterior(mean, log_scale)
    codes, noise = posterior.draw(4, torch.Generator().manual_seed(0))
    doubly = doubly_reparameterised_bound(posterior, codes, likelihood(codes, target), 1.0)
    for slope in torch.autograd.grad(doubly.sum(), (mean, log_scale)):
        assert slope.abs().max() < 1e-12
    codes, noise = posterior.draw(4, torch.Generator().manual_seed(0))
    plain = pathwise(posterior, codes, noise, target, 1.0)
    assert torch.autograd.grad(plain.sum(), mean)[0].abs().max() > 0.1
