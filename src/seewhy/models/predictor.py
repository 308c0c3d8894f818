"""From images as people have them to calibrated class probabilities, as one module.

    resize      scaled to cover the size of the training images, antialiased, and cut out of the centre; grey or colour as in training
    classify    each member's own normalisation and network, over the test-time views of the image, softmax
    average     over the views, then over the members
    calibrate   softmax(log p / T), T fitted on validation images (Guo et al. 2017, 1706.04599)

All of it is torch: a prediction needs neither Pillow nor a run's folder.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.metrics import apply_temperature
from seewhy.models.resize import cover, to_channels
from seewhy.nn import fold

Views = Literal["none", "flip", "flip_shift"]


class Predictor(nn.Module):
    """uint8 images (N, C, H, W) of any size -> class probabilities (N, K), float32.

    Batch normalisations are folded into the layers before them, so that the module is for prediction only.

    Args:
        members: networks of the same classes, uint8 images of `shape` to logits (N, K), such as `seewhy.models.Classifier`. Their
            probabilities are averaged; one for a single network.
        shape: (C, H, W) of the images that they were trained on.
        views: test-time views, of equal weight: the image; with its mirror image; or with both and the image shifted by one pixel to the
            lower right and the mirror image shifted to the upper left (reflected border).
        temperature: T.

    Raises:
        InputError: there is no member, a value is out of range, or (on a call) the images are not uint8 (N, C, H, W) with 1 or 3 channels.
    """

    temperature: Tensor

    def __init__(
        self,
        members: Sequence[nn.Module],
        *,
        shape: tuple[int, int, int],
        views: Views = "none",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if not members:
            raise bad_value("members", 0, "at least one classifier")
        if views not in ("none", "flip", "flip_shift"):
            raise bad_value("views", views, "none, flip or flip_shift")
        if not 0 < temperature < float("inf"):
            raise bad_value("temperature", temperature, "above 0 and finite")
        self.members = nn.ModuleList(_folded(member) for member in members)
        self.shape, self.views = shape, views
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float64))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return calibrated probabilities (N, K)."""
        return apply_temperature(self.uncalibrated(images), float(self.temperature))

    def uncalibrated(self, images: Tensor) -> Tensor:
        """Return probabilities (N, K), averaged over views and members, before calibration."""
        return self.member_probabilities(images).mean(0)

    @torch.no_grad()
    def member_probabilities(self, images: Tensor) -> Tensor:
        """Return the probabilities (M, N, K) of each of M members before calibration."""
        fitted = self.resize(images)
        return torch.stack([view_probabilities(member, fitted, self.views) for member in self.members])

    def resize(self, images: Tensor) -> Tensor:
        """Return images of the size and channels of the training images, uint8; those that have them already are not touched."""
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
            raise InputError(
                f"images: must be uint8 (N, C, H, W) with 1 or 3 channels, got {images.dtype} {tuple(images.shape)}"
            )
        return cover(to_channels(images, self.shape[0]), self.shape[1:])


def _folded(member: nn.Module) -> nn.Module:
    try:
        return fold(member).module
    except InputError:  # a network that cannot be traced predicts as it is
        return copy.deepcopy(member).eval()


def view_probabilities(model: nn.Module, images: Tensor, views: Views) -> Tensor:
    """Return class probabilities (N, K), float32, of uint8 images (N, C, H, W), averaged over the views."""
    return torch.stack([model(view).float().softmax(dim=1) for view in test_views(images, views)]).mean(dim=0)


def test_views(images: Tensor, views: Views) -> list[Tensor]:
    """Return the test-time views of images (N, C, H, W)."""
    if views == "none":
        return [images]
    mirrored = images.flip(3)
    if views == "flip":
        return [images, mirrored]
    return [images, mirrored, _shift(images, 1), _shift(mirrored, -1)]


def _shift(images: Tensor, pixels: int) -> Tensor:
    """Return the images moved to the lower right by so many pixels (negative: to the upper left), borders reflected."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - pixels
    columns = torch.arange(width, device=images.device) - pixels
    rows = (height - 1) - ((height - 1) - rows.abs()).abs()
    columns = (width - 1) - ((width - 1) - columns.abs()).abs()
    return images.index_select(2, rows).index_select(3, columns)
