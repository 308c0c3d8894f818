"""Attribution maps: which pixels of an image a network's logit of a class rests on.

Pure functions of any module f from images (N, C, H, W) to logits (N, K), in evaluation mode. With y = f_c(x) the logit of class c:

    Grad-CAM               relu(sum_k w_k A_k), w_k = mean over positions of dy / dA_k, A_k the channels of a feature map, enlarged to H x W
                           (Selvaraju et al. 2017, 1610.02391)
    integrated gradients   (x - b) * mean over a in (0, 1) of dy / dx at b + a (x - b), b a baseline, summed over the channels; over all pixels
                           they sum to y(x) - y(b) (Sundararajan et al. 2017, 1703.01365)
    occlusion              how far y falls where a square of the image is replaced by the baseline, averaged over the squares that cover a
                           pixel (Zeiler & Fergus 2014, 1311.2901)

The gradient is of the logit, for a probability near 1 has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value, unknown_name

METHODS = ("grad_cam", "integrated_gradients", "occlusion")

SMALLEST_SIDE = 4
"""A feature map of fewer positions a side says too little about where."""

CHUNK, PIXELS = 64, 64 * 96**2
"""Images of a forward pass, and pixels, at most."""


NO_MAPS = (nn.Softmax, nn.modules.dropout._DropoutNd)
"""Whose outputs (N, heads, L, L) in attention look like maps."""


@dataclass(frozen=True)
class Layers:
    """What a network computes on the way to its logits, in the order in which it does.

    Attributes:
        maps: sides (h, w) of the layers that give a feature map of the image, by name.
        weighted: names of the modules with parameters of their own, in the order in which they begin.
        head: the last of them that is called with a batch.
    """

    maps: Mapping[str, tuple[int, int]]
    weighted: tuple[str, ...]
    head: str

    @property
    def last_map(self) -> str | None:
        """The last layer whose map has at least `SMALLEST_SIDE` positions a side, else the last of the largest maps; None without a map."""
        large = [name for name, side in self.maps.items() if min(side) >= SMALLEST_SIDE]
        if large:
            return large[-1]
        return max(self.maps, key=lambda name: (min(self.maps[name]), list(self.maps).index(name)), default=None)


@torch.no_grad()
def layers_of(network: nn.Module, images: Tensor) -> Layers:
    """Run a network once and return its layers.

    A convolution or a normalisation by itself is not listed among the maps: what its activation makes of it is.

    Args:
        network: images to logits.
        images: (N, C, H, W), of which the first is taken.
    """
    height, width = images.shape[2:]
    maps: dict[str, tuple[int, int]] = {}
    weighted: dict[str, bool] = {}
    computing: set[str] = set()

    def begin(name: str, inputs: Any) -> None:
        weighted.pop(name, None)
        weighted[name] = bool(inputs) and isinstance(inputs[0], Tensor) and inputs[0].dim() > 1

    def end(name: str, output: Any) -> None:
        if not isinstance(output, Tensor) or output.dim() != 4 or not computing & set(weighted):
            return  # before the first weights there is only the image, perhaps resized
        h, w = output.shape[2:]
        # Some networks hold (N, H, W, C) inside, which is no map with channels in front; sides of 1 say nothing of where.
        if min(h, w) > 1 and abs(h - w * height / width) <= 1:
            maps.pop(name, None)
            maps[name] = (h, w)

    handles = []
    for name, module in network.named_modules():
        own = next(module.parameters(recurse=False), None) is not None
        if own:
            handles.append(module.register_forward_pre_hook(lambda _, inputs, name=name: begin(name, inputs)))
        if own and next(module.children(), None) is None:
            computing.add(name)
        elif name and not isinstance(module, NO_MAPS):
            handles.append(module.register_forward_hook(lambda _, _inputs, output, name=name: end(name, output)))
    try:
        with _evaluating(network):
            network(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    return Layers(maps, tuple(weighted), next((name for name in reversed(weighted) if weighted[name]), ""))


def grad_cam(network: nn.Module, images: Tensor, classes: Tensor, layer: str | None = None) -> Tensor:
    """Return the Grad-CAM maps (N, H, W), at least 0, of a layer's feature map.

    Args:
        network: images to logits (N, K).
        images: (N, C, H, W), float.
        classes: int64 (N).
        layer: name of a module whose output is (N, D, h, w); None for the last one, or an earlier one where that is smaller than 4 x 4.

    Raises:
        InputError: there is no such layer, or the network has no feature map.
    """
    layer = map_layer(network, images, layer)
    return torch.cat([_grad_cam(network, x, c, layer) for x, c in _chunks(images, classes)])


def map_layer(network: nn.Module, images: Tensor, layer: str | None) -> str:
    """Return the name of the layer whose map is taken; raises InputError if there is none."""
    found = layers_of(network, images)
    chosen = layer or found.last_map
    if chosen is None:
        raise InputError(
            "grad_cam: the network has no feature map, since nothing in it is arranged as the image is; "
            "take integrated_gradients or occlusion"
        )
    if layer is not None and layer not in dict(network.named_modules()):
        raise unknown_name("layer", layer, found.maps)
    return chosen


def _grad_cam(network: nn.Module, images: Tensor, classes: Tensor, layer: str) -> Tensor:
    kept: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.dim() != 4:
            raise bad_value("layer", layer, "a layer that gives a feature map (N, D, h, w)")
        kept[:] = [output if output.requires_grad else output.detach().requires_grad_()]
        return kept[0].clone()  # which an activation may overwrite in place

    handle = network.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad(), _evaluating(network):
            (gradient,) = torch.autograd.grad(_score(network(images), classes), kept[0])
    finally:
        handle.remove()
    features = kept[0].detach()
    cam = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    return F.interpolate(cam.float(), size=images.shape[2:], mode="bilinear")[:, 0]


def integrated_gradients(
    network: nn.Module, images: Tensor, classes: Tensor, baseline: Tensor, *, steps: int = 64
) -> Tensor:
    """Return the integrated gradients (N, H, W), summed over the channels, by the midpoint rule.

    Args:
        network: images to logits (N, K).
        images: (N, C, H, W), float.
        classes: int64 (N).
        baseline: that of the image in which nothing is seen, such as (C, 1, 1).
        steps: points of the path.

    Raises:
        InputError: steps is below 1.
    """
    if steps < 1:
        raise bad_value("steps", steps, "at least 1")
    parts = []
    for x, c in _chunks(images, classes, size=max(1, CHUNK // steps)):
        away = x - baseline
        at = ((torch.arange(steps, device=x.device) + 0.5) / steps).view(-1, 1, 1, 1, 1)
        path = (baseline + at * away).flatten(0, 1)
        gradient = torch.cat([_gradient(network, *pair) for pair in _chunks(path, c.repeat(steps))])
        parts.append((away * gradient.view(steps, *x.shape).mean(0)).sum(1))
    return torch.cat(parts)


def _gradient(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    with torch.enable_grad(), _evaluating(network):
        x = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_score(network(x), classes), x)
    return gradient


@torch.no_grad()
def rise(network: nn.Module, images: Tensor, classes: Tensor, baseline: Tensor) -> Tensor:
    """Return y(x) - y(b), (N), to which integrated gradients sum up."""
    with _evaluating(network):
        return _logits(network(images), classes) - _logits(network(baseline.expand_as(images)), classes)


@torch.no_grad()
def occlusion(
    network: nn.Module,
    images: Tensor,
    classes: Tensor,
    baseline: Tensor,
    *,
    size: int | None = None,
    stride: int | None = None,
) -> Tensor:
    """Return how far the logit falls where a square is replaced by the baseline: (N, H, W).

    Args:
        network: images to logits (N, K).
        images: (N, C, H, W), float.
        classes: int64 (N).
        baseline: what is put in its place, such as (C, 1, 1).
        size: of the square in pixels; None for a fifth of the smaller side.
        stride: from one square to the next; None for half the size.

    Raises:
        InputError: the square is larger than the image, or the stride larger than the square.
    """
    height, width = images.shape[2:]
    size = max(1, round(min(height, width) / 5)) if size is None else size
    stride = max(1, size // 2) if stride is None else stride
    if not 1 <= size <= min(height, width):
        raise bad_value("size", size, f"between 1 and {min(height, width)}")
    if not 1 <= stride <= size:
        raise bad_value("stride", stride, f"between 1 and the size {size}")
    places = [(top, left) for top in _starts(height, size, stride) for left in _starts(width, size, stride)]
    fill = baseline.expand_as(images[0])
    maps = torch.zeros_like(images[:, 0])
    with _evaluating(network):
        for row, (x, c) in enumerate(zip(images, classes, strict=True)):
            occluded: list[Tensor] = []
            for batch, target in _chunks(x.expand(len(places), -1, -1, -1), c.expand(len(places))):
                hidden = batch.clone()
                for one, (top, left) in zip(hidden, places[len(occluded) :], strict=False):
                    one[:, top : top + size, left : left + size] = fill[:, top : top + size, left : left + size]
                occluded += _logits(network(hidden), target)
            falls = _logits(network(x[None]), c[None]) - torch.stack(occluded)
            covered = torch.zeros_like(maps[row])
            for fall, (top, left) in zip(falls, places, strict=True):
                maps[row, top : top + size, left : left + size] += fall
                covered[top : top + size, left : left + size] += 1
            maps[row] /= covered
    return maps


class Penultimate(NamedTuple):
    """What enters the head, the last module with parameters, and what comes out of the network.

    Attributes:
        features: float32 (N, D), a map averaged over its positions.
        logits: (N, K).
    """

    features: Tensor
    logits: Tensor


@torch.no_grad()
def penultimate(network: nn.Module, images: Tensor) -> Penultimate:
    """Return features and logits of images, in evaluation mode: the one rule for what a classifier's features are.

    Args:
        network: images to logits.
        images: (N, C, H, W), of float or of whole numbers, of which some go through the network at a time.
    """
    kept: list[Tensor] = []
    logits: list[Tensor] = []
    head = network.get_submodule(layers_of(network, images).head)
    handle = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        with _evaluating(network):
            for (x,) in _chunks(images):
                logits.append(network(x if x.is_floating_point() else x.float()))
    finally:
        handle.remove()
    features = torch.cat(kept).float()
    features = features.mean(dim=(2, 3)) if features.dim() == 4 else features.flatten(1)
    return Penultimate(features, torch.cat(logits))


def _starts(side: int, size: int, stride: int) -> list[int]:
    """Return where squares begin along a side; the last one ends at the border."""
    return [*range(0, side - size, stride), side - size]


def _chunks(*tensors: Tensor, size: int = CHUNK) -> Iterator[tuple[Tensor, ...]]:
    """Yield some images, and what belongs to them, at a time."""
    size = max(1, min(size, PIXELS // tensors[0][0, 0].numel()))
    for start in range(0, len(tensors[0]), size):
        yield tuple(tensor[start : start + size] for tensor in tensors)


def _score(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the sum of the classes' logits, which has a gradient."""
    if not logits.requires_grad:
        raise InputError("method: no gradient passes through the network; take occlusion, which needs none")
    return _logits(logits, classes).sum()


def _logits(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.float().gather(1, classes[:, None])[:, 0]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Let a network be in evaluation mode, and give its modes back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
