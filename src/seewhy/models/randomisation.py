"""The sanity check of attribution maps (Adebayo et al. 2018, 1810.03292): a map that explains a network must change with its weights.

The weights are made random from the head down, layer by layer: every parameter's values are shuffled, which keeps their scale. After some
layers, and after all, the map is computed anew and compared with the first one by Spearman's rank correlation over the pixels, with signs. A
map that is still much the same when all weights are random shows the image, such as its edges, and not what the network has learnt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seewhy.core.seeding import rng

UNCHANGED = 0.5
"""Mean rank correlation with the maps of random weights from which on a map is said to barely change. Maps of two unrelated networks have
-0.1 to 0.1 on average, those of a single image up to 0.4 (CIFAR-10, convnet and resnet); an edge detector has 1."""

DRAWS = (4, 16)
"""Random networks: so many at first, and up to so many while the mean correlation is within `NEAR` of the threshold."""

NEAR = 0.25


@dataclass(frozen=True)
class Randomised:
    """How much maps are alike that are computed with trained and with random weights.

    Attributes:
        cascade: (share of the layers that are random, mean rank correlation), from the head down, of one random network.
        correlation: mean rank correlation with all weights random, over random networks and the images.
    """

    cascade: tuple[tuple[float, float], ...]
    correlation: float

    @staticmethod
    def mean(found: Sequence[Randomised]) -> Randomised:
        """Return the mean over the members of an ensemble, each of which is randomised by itself."""
        cascade = zip(*(one.cascade for one in found), strict=False)
        return Randomised(
            tuple((stages[0][0], sum(value for _, value in stages) / len(found)) for stages in cascade),
            sum(one.correlation for one in found) / len(found),
        )

    @property
    def explains(self) -> bool:
        """Whether the maps change when the weights are random."""
        return self.correlation < UNCHANGED


@torch.no_grad()
def randomised(network: nn.Module, names: Sequence[str], generator: torch.Generator) -> nn.Module:
    """Return a copy of a network in which the own parameters of some modules are shuffled.

    Args:
        network: any.
        names: of its modules.
        generator: the source of the order, on the CPU.
    """
    network = copy.deepcopy(network)
    for name in names:
        for parameter in network.get_submodule(name).parameters(recurse=False):
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return network


def sanity_check(
    network: nn.Module,
    layers: Sequence[str],
    maps: Tensor,
    attribute: Callable[[nn.Module], Tensor],
    *,
    seed: int = 0,
) -> Randomised:
    """Compare the maps of a network with those of networks whose weights are random.

    Args:
        network: trained.
        layers: names of the modules with parameters, the head last.
        maps: its maps (N, H, W).
        attribute: from a network to its maps of the same images.
        seed: of the random networks.
    """
    order = list(reversed(layers))
    stages = sorted({1, -(-len(order) // 3), -(-2 * len(order) // 3), len(order)})

    def alike(draw: int, count: int) -> float:
        return float(
            rank_correlation(maps, attribute(randomised(network, order[:count], rng(seed, "sanity", draw)))).mean()
        )

    cascade = tuple((count / len(order), alike(0, count)) for count in stages)
    every = [cascade[-1][1]]
    while len(every) < DRAWS[0] or (len(every) < DRAWS[1] and abs(sum(every) / len(every) - UNCHANGED) < NEAR):
        every.append(alike(len(every), len(order)))
    return Randomised(cascade, sum(every) / len(every))


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return Spearman's rank correlation of maps, (N, H, W) twice -> (N), over the pixels; 0 where a map is constant."""
    a, b = (_ranks(maps.flatten(1)) for maps in (first, second))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    scale = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(scale > 0, (a * b).sum(1) / scale.clamp_min(1e-12), 0.0)


def _ranks(values: Tensor) -> Tensor:
    ordered = values.contiguous().sort(dim=1).values
    low = torch.searchsorted(ordered, values.contiguous())
    high = torch.searchsorted(ordered, values.contiguous(), right=True)
    return (low + high).double() / 2
