"""Likelihoods of pixels against torch.distributions, enumeration and automatic differentiation."""

import math

import pytest
import torch
from torch import distributions as twins

from seewhy.core.errors import InputError
from seewhy.models.latent.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, Logistic

CHANNELS, SIDES = 3, (4, 5)


def case(likelihood, levels, n=2, seed=0, scale=2.0):
    torch.manual_seed(seed)
    maps = scale * torch.randn(n, likelihood.maps(CHANNELS), *SIDES, dtype=torch.float64)
    return maps, torch.randint(0, levels, (n, CHANNELS, *SIDES))


def test_bernoulli_is_the_sum_over_pixels_and_channels():
    maps, values = case(Bernoulli(), 2, scale=20.0)
    twin = twins.Bernoulli(logits=maps).log_prob(values.double()).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_likelihood(maps, values), twin, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pixels", [1, 3, 16, 784, 800])
def test_bernoulli_holds_for_any_number_of_pixels_in_float32(pixels):
    torch.manual_seed(pixels)
    maps = torch.randn(3, 1, 1, pixels) * torch.tensor([0.1, 5.0, 60.0]).view(3, 1, 1, 1)
    values = (torch.rand(3, 1, 1, pixels) < 0.5).long()
    twin = twins.Bernoulli(logits=maps.double()).log_prob(values.double()).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_likelihood(maps, values).double(), twin, rtol=1e-6, atol=1e-4)


def test_bernoulli_gradient():
    maps, values = case(Bernoulli(), 2)
    maps.requires_grad_()
    torch.autograd.gradcheck(lambda a: Bernoulli().log_likelihood(a, values), maps)
    (own,) = torch.autograd.grad(Bernoulli().log_likelihood(maps, values).sum(), maps)
    (twin,) = torch.autograd.grad(twins.Bernoulli(logits=maps).log_prob(values.double()).sum(), maps)
    torch.testing.assert_close(own, twin)


@pytest.mark.parametrize("learnt", [False, True])
def test_gaussian_is_the_sum_over_pixels_and_channels(learnt):
    likelihood = Gaussian(16, learnt=learnt)
    maps, values = case(likelihood, 16)
    mean = maps[:, :CHANNELS]
    scale = 1 / 30 + torch.log1p(maps[:, CHANNELS:].exp()) if learnt else torch.ones_like(mean)
    twin = twins.Normal(mean, scale).log_prob(values / 15).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.log_likelihood(maps, values), twin)


def test_gaussian_standard_deviation_stays_above_half_a_level():
    likelihood, values = Gaussian(256, learnt=True), torch.full((1, 1, 1, 1), 128)
    maps = torch.tensor([128 / 255, -1e4], dtype=torch.float64).view(1, 2, 1, 1)
    assert likelihood.log_likelihood(maps, values).item() == pytest.approx(math.log(510) - 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize("levels", [2, 3, 256])
def test_logistic_probabilities_of_all_levels_sum_to_1(levels):
    likelihood = Logistic(levels)
    torch.manual_seed(0)
    maps = torch.stack([torch.randn(40) * 2, torch.linspace(-9, 3, 40)]).double().T.reshape(40, 2, 1, 1)
    values = torch.arange(levels).view(levels, 1, 1, 1, 1)
    probabilities = likelihood.log_likelihood(maps, values).exp()
    assert probabilities.shape == (levels, 40)
    torch.testing.assert_close(probabilities.sum(0), torch.ones(40, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize("levels", [2, 256])
def test_logistic_is_the_mass_between_edges_and_in_the_tails(levels):
    likelihood = Logistic(levels)
    maps, values = case(likelihood, levels, scale=0.7)
    values[0, 0, 0], values[1, 0, 0] = 0, levels - 1
    mean, scale = maps[:, :CHANNELS], math.exp(-7) + maps[:, CHANNELS:].exp()
    twin = twins.TransformedDistribution(
        twins.Uniform(torch.zeros_like(mean), torch.ones_like(mean), validate_args=False),
        [twins.SigmoidTransform().inv, twins.AffineTransform(mean, scale)],
        validate_args=False,
    )
    edges = ((torch.arange(levels + 1) - 0.5) * 2 / (levels - 1) - 1).double()
    edges[0], edges[-1] = -math.inf, math.inf
    mass = twin.cdf(edges[values + 1]) - twin.cdf(edges[values])
    torch.testing.assert_close(likelihood.log_likelihood(maps, values), mass.log().sum((1, 2, 3)), rtol=1e-6, atol=1e-6)


def test_logistic_is_finite_with_a_gradient_far_from_the_mean():
    maps = torch.tensor([-1.0, -9.0]).view(1, 2, 1, 1).requires_grad_()
    log_likelihood = Logistic(256).log_likelihood(maps, torch.full((1, 1, 1, 1), 254))
    assert -3000 < log_likelihood.item() < -1000
    (gradient,) = torch.autograd.grad(log_likelihood.sum(), maps)
    assert gradient.isfinite().all()
    assert (gradient.flatten() > 0).all()


@pytest.mark.parametrize("name", LIKELIHOODS.names())
def test_leading_axes_broadcast(name):
    levels = 2 if name == "bernoulli" else 7
    likelihood = LIKELIHOODS[name].factory(levels=levels)
    maps, values = case(likelihood, levels, n=6)
    maps = maps.view(3, 2, *maps.shape[1:])
    both = likelihood.log_likelihood(maps, values[:2])
    assert both.shape == (3, 2)
    torch.testing.assert_close(both[2], likelihood.log_likelihood(maps[2], values[:2]))


@pytest.mark.parametrize("name", LIKELIHOODS.names())
def test_mean_and_start_agree_with_samples(name):
    """Maps for given means and standard deviations have them, and so do samples."""
    levels = 2 if name == "bernoulli" else 64
    likelihood = LIKELIHOODS[name].factory(levels=levels)
    wanted = torch.tensor([0.2, 0.45, 0.6]).view(3, 1, 1) * (levels - 1)
    maps = likelihood.start(wanted, torch.full_like(wanted, 0.05 * (levels - 1)))
    assert maps.shape == (likelihood.maps(3), 1, 1)
    torch.testing.assert_close(likelihood.mean(maps), wanted, rtol=0.02, atol=0.02)
    many = maps.expand(20000, *maps.shape)
    rng = torch.Generator().manual_seed(0)
    if name == "gaussian":  # its standard deviation of 1 is as wide as all levels, and samples are clamped to them
        samples = likelihood.sample(many, rng)
        assert (samples.min(), samples.max()) == (0, levels - 1)
        return
    samples = likelihood.sample(many, rng).double()
    torch.testing.assert_close(samples.mean(0), wanted.double(), rtol=0.05, atol=0.01 * levels)
    if name != "bernoulli":
        std = samples.std(0) / (levels - 1)
        assert ((std > 0.045) & (std < 0.065)).all()
    assert torch.equal(samples, likelihood.sample(many, torch.Generator().manual_seed(0)).double())


def test_logistic_mean_is_exact():
    likelihood = Logistic(9)
    maps, _ = case(likelihood, 9, scale=1.0)
    values = torch.arange(9).view(9, 1, 1, 1, 1)
    single = maps.permute(0, 2, 3, 1).reshape(-1, 2, CHANNELS).transpose(1, 2).reshape(-1, 2, 1, 1)
    mean = likelihood.mean(single).flatten()
    probabilities = likelihood.log_likelihood(single, values).exp()
    torch.testing.assert_close(mean, (probabilities * torch.arange(9).view(9, 1)).sum(0))


def test_bernoulli_refuses_more_levels():
    with pytest.raises(InputError, match=r"2 levels, got 256; choose logistic"):
        LIKELIHOODS["bernoulli"].factory(levels=256)
    with pytest.raises(InputError, match="did you mean 'bernoulli'"):
        LIKELIHOODS["bernouli"]
