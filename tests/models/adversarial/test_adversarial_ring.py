"""A ring of 8 Gaussians: a good setting finds all of them, and a collapsed generator is caught by the count of classes."""

import math

import torch

from seewhy.metrics.sample_quality.coverage import class_coverage
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator
from seewhy.models.adversarial.gan import discriminator_terms, generator_terms
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.adversarial.networks import Noise

MODES, STD, EACH, WIDTH = 8, 0.05, 128, 64
CENTRES = torch.tensor([[math.cos(k * math.tau / MODES), math.sin(k * math.tau / MODES)] for k in range(MODES)])


def ring(n):
    """Points of the ring, (n, 2)."""
    return CENTRES[torch.randint(MODES, (n,))] + STD * torch.randn(n, 2)


def coverage(points):
    """The Gaussians as classes, known by the posterior; points far from all of them (more than 4 standard deviations) count for none."""
    near = torch.cdist(points, CENTRES).min(1).values < 4 * STD
    logits = -torch.cdist(points, CENTRES).square() / (2 * STD**2)
    assert near.double().mean() > 0.5, "most points are nowhere near the ring"
    return class_coverage(logits[near].softmax(1), [1] * MODES, classifier="posterior of the ring")


def train(steps):
    """Points of a generator after so many steps of each network."""
    torch.manual_seed(0)
    generator = DenseGenerator((2,), Noise(2), widths=(WIDTH, WIDTH), output="linear", init_bound=None)
    discriminator = DenseDiscriminator((2,), width=WIDTH, pieces=2, dropout=0.0, init_bound=None)
    loss = LOSSES["wasserstein"].factory()
    first = torch.optim.Adam(discriminator.parameters(), lr=4e-3, betas=(0.5, 0.9))
    second = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.9))
    for _ in range(steps):
        terms = discriminator_terms(generator, discriminator, loss, ring(EACH), penalty_weight=1.0)
        first.zero_grad()
        terms.loss.backward()
        first.step()
        terms = generator_terms(generator, discriminator, loss, generator.noise.sample(EACH))
        second.zero_grad()
        terms.loss.backward()
        second.step()
    with torch.no_grad():
        return generator(generator.noise.sample(2000))


def test_a_good_setting_finds_all_modes():
    result = coverage(train(1000))
    assert (result.covered, result.classes, result.collapsed) == (MODES, MODES, False)
    assert result.kl < 0.5


def test_the_real_ring_is_covered_and_a_collapsed_generator_is_reported():
    torch.manual_seed(0)
    real = coverage(ring(2000))
    assert not real.collapsed
    assert real.kl < 4 * real.expected_kl
    collapsed = coverage(CENTRES[torch.randint(2, (2000,))] + STD * torch.randn(2000, 2))
    assert (collapsed.covered, collapsed.collapsed) == (2, True)
    assert abs(collapsed.kl - math.log(4)) < 0.01
    assert 1.9 < collapsed.effective_classes <= 2.0 + 1e-9
