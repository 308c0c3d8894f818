"""A ring of 8 Gaussians: a good setting finds all of them, and one that collapsed is caught by the count."""

import math

import torch
from torch import Tensor

from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator
from seewhy.models.adversarial.gan import discriminator_terms, frozen, generator_terms
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.adversarial.networks import Noise

MODES = 8
DEVIATION = 0.05
CENTRES = torch.tensor([[math.cos(k * math.tau / MODES), math.sin(k * math.tau / MODES)] for k in range(MODES)])


def ring(n: int) -> Tensor:
    """Points of the ring, (n, 2)."""
    return CENTRES[torch.randint(MODES, (n,))] + DEVIATION * torch.randn(n, 2)


def found(points: Tensor) -> set[int]:
    """The Gaussians that at least 2% of the points lie within 4 deviations of; 12.5% each would be right."""
    distances = torch.cdist(points, CENTRES)
    near, which = distances.min(1)
    counts = torch.bincount(which[near < 4 * DEVIATION], minlength=MODES)
    return set(torch.nonzero(counts >= 0.02 * len(points))[:, 0].tolist())


def play(loss_name: str, steps: int, *, penalty: float) -> Tensor:
    torch.manual_seed(0)
    generator = DenseGenerator((2,), Noise(2), widths=(64, 64), output="linear", spread=None)
    discriminator = DenseDiscriminator((2,), width=64, pieces=2, dropout=0.0, spread=None)
    loss = LOSSES[loss_name].factory()
    players = {
        "discriminator": torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.9)),
        "generator": torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9)),
    }
    for _ in range(steps):
        for name, optimizer in players.items():
            if name == "discriminator":
                terms = discriminator_terms(generator, discriminator, loss, ring(256), penalty=penalty)
            else:
                terms = generator_terms(generator, discriminator, loss, generator.noise.draw(256))
            optimizer.zero_grad()
            terms.loss.backward()
            optimizer.step()
    with torch.no_grad(), frozen(generator):
        drawn: Tensor = generator(generator.noise.draw(2000))
    return drawn


def test_the_real_ring_has_all_modes():
    torch.manual_seed(0)
    assert found(ring(2000)) == set(range(MODES))


def test_a_good_setting_finds_all_modes():
    import time; s=time.time()
    drawn = play("wasserstein", 400, penalty=0.1)
    print(time.time()-s, len(found(drawn)))
    assert found(drawn) == set(range(MODES))
