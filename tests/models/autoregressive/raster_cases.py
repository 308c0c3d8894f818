"""What every autoregressive network must satisfy: the rasters it is tried on, and ways to look at what depends on what."""

import itertools

import torch
from torch import Tensor

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
    """Every value's place (colour, *position), in the order in which they are predicted."""
    return [
        (colour, *position)
        for position in itertools.product(*(range(side) for side in shape[1:]))
        for colour in range(shape[0])
    ]


def dependence(net, module, monkeypatch, seeds=3):
    """Return |d logits(i) / d value(j)|, summed over levels and some random rasters: (values, values) in the order of prediction."""
    places = in_order(net.shape)
    total = torch.zeros(len(places), len(places), dtype=torch.float64)
    labels = some_labels(net.classes, 1)
    net = net.double()
    for seed in range(seeds):
        inputs = torch.randn(1, *net.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        inputs.requires_grad_()
        monkeypatch.setattr(module, "scaled", lambda values, levels, inputs=inputs: inputs)
        monkeypatch.setattr(module, "by_level", lambda x, c, levels: x.unflatten(1, (c, levels)).transpose(1, 2))
        logits = net(torch.zeros(1, *net.shape, dtype=torch.int64), labels)
        for row, place in enumerate(places):
            seen = torch.zeros(net.shape, dtype=torch.float64)
            for level in range(net.levels):
                (gradient,) = torch.autograd.grad(logits[(0, level, *place)], inputs, retain_graph=True)
                seen += gradient[0].abs()
            total[row] += torch.stack([seen[other] for other in places])
    return total


def probabilities(net, label=None) -> tuple[Tensor, Tensor]:
    """Return every raster that there is, and its probability by the product of softmaxes written out."""
    places = in_order(net.shape)
    rasters = torch.zeros(net.levels ** len(places), *net.shape, dtype=torch.int64)
    for row, levels in enumerate(itertools.product(range(net.levels), repeat=len(places))):
        for place, level in zip(places, levels, strict=True):
            rasters[(row, *place)] = level
    labels = None if label is None else torch.full((len(rasters),), label)
    with torch.no_grad():
        chances = net(rasters, labels).double().softmax(1)
    product = torch.ones(len(rasters), dtype=torch.float64)
    for place in places:
        product *= chances[(slice(None), slice(None), *place)].gather(1, rasters[(slice(None), *place)][:, None])[:, 0]
    return rasters, product
