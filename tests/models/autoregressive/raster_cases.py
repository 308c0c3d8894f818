"""What every autoregressive network must satisfy: the rasters it is tried on, and ways to look at what depends on what."""

import itertools

import torch
from scipy import stats
from torch import Tensor

from seewhy.models.autoregressive.sampling import sample_raster

RASTERS = {
    "sequence": ((1, 7), 3, None),
    "sequence of pairs": ((2, 5), 4, 3),
    "image": ((1, 5, 4), 2, None),
    "colour image": ((3, 4, 4), 5, 2),
    "clip": ((1, 3, 3, 4), 2, 2),
    "colour clip": ((2, 2, 3, 3), 3, None),
}
"""Shapes (C, *axes), levels and classes, by name."""


def randomised(net, seed=0, scale=0.5):
    """Fill every parameter with normal numbers, so that nothing is zero by the way it starts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def random_values(shape, levels, n=2, seed=0):
    return torch.randint(0, levels, (n, *shape), generator=torch.Generator().manual_seed(seed))


def some_labels(classes, n=2):
    return None if classes is None else torch.arange(n) % classes


def in_order(shape):
    """Every value's index (colour, *position), in the order in which they are predicted."""
    return [
        (colour, *position)
        for position in itertools.product(*(range(side) for side in shape[1:]))
        for colour in range(shape[0])
    ]


def dependence(net, module, monkeypatch, seeds=3):
    """Return |d logits(i) / d value(j)|, summed over some random rasters: (values, values) in the order of prediction.

    The logits of a index are weighted at random and added over its levels. Raster n of a batch of equal ones is asked for index n alone, so that
    one derivative gives all rows.
    """
    indices = in_order(net.shape)
    labels = some_labels(net.classes, 1)
    labels = None if labels is None else labels.expand(len(indices))
    total = torch.zeros(len(indices), len(indices), dtype=torch.float64)
    net = net.double()
    monkeypatch.setattr(module, "by_level", lambda x, c, levels: x.unflatten(1, (c, levels)).transpose(1, 2))
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        one = torch.randn(net.shape, dtype=torch.float64, generator=generator)
        inputs = one.expand(len(indices), *net.shape).clone().requires_grad_()
        monkeypatch.setattr(module, "scaled", lambda values, levels, inputs=inputs: inputs)
        logits = net(torch.zeros(inputs.shape, dtype=torch.int64), labels)
        weights = torch.rand(net.levels, dtype=torch.float64, generator=generator) + 0.5
        asked = [weights @ logits[(row, slice(None), *index)] for row, index in enumerate(indices)]
        (gradient,) = torch.autograd.grad(torch.stack(asked).sum(), inputs)
        total += torch.stack([gradient[(slice(None), *index)].abs() for index in indices], 1)
    return total


def probabilities(net, label=None) -> tuple[Tensor, Tensor]:
    """Return every raster that there is, and its probability by the product of softmaxes written out."""
    indices = in_order(net.shape)
    rasters = torch.zeros(net.levels ** len(indices), *net.shape, dtype=torch.int64)
    for row, levels in enumerate(itertools.product(range(net.levels), repeat=len(indices))):
        for index, level in zip(indices, levels, strict=True):
            rasters[(row, *index)] = level
    labels = None if label is None else torch.full((len(rasters),), label)
    with torch.no_grad():
        chances = net(rasters, labels).double().softmax(1)
    product = torch.ones(len(rasters), dtype=torch.float64)
    for index in indices:
        product *= chances[(slice(None), slice(None), *index)].gather(1, rasters[(slice(None), *index)][:, None])[:, 0]
    return rasters, product


def sampled_as_enumerated(net, label) -> float:
    """Return the p-value of the chi-square test of 6,000 sampled rasters of a class against the probabilities of all that there are."""
    rasters, chances = probabilities(net, label=label)
    n = 6000
    samples = sample_raster(
        net,
        torch.zeros(n, *net.shape, dtype=torch.int64),
        labels=torch.full((n,), label),
        rng=torch.Generator().manual_seed(5),
    )
    same = (samples[:, None] == rasters[None]).flatten(2).all(2)
    counts = same.sum(0).double()
    assert counts.sum() == n
    expected = n * chances
    enough = expected >= 5
    counts = torch.cat([counts[enough], counts[~enough].sum()[None]])
    expected = torch.cat([expected[enough], expected[~enough].sum()[None]])
    nonzero = expected > 0
    return float(stats.chisquare(counts[nonzero], expected[nonzero] * n / expected[nonzero].sum()).pvalue)
