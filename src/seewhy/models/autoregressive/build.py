"""Autoregressive models by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.autoregressive.design import AutoregressiveDesign
from seewhy.models.autoregressive.networks.diagonal_bilstm import DiagonalBiLSTM
from seewhy.models.autoregressive.networks.gated_pixelcnn import GatedPixelCNN
from seewhy.models.autoregressive.networks.pixelcnn import PixelCNN
from seewhy.models.autoregressive.networks.row_lstm import RowLSTM
from seewhy.models.autoregressive.raster import Autoregressive
from seewhy.models.autoregressive.raster_generator import RasterGenerator
from seewhy.models.weights import seeded_weights

AUTOREGRESSIVE: dict[str, Callable[..., Autoregressive]] = {
    "pixelcnn": PixelCNN,
    "gated_pixelcnn": GatedPixelCNN,
    "row_lstm": RowLSTM,
    "diagonal_bilstm": DiagonalBiLSTM,
}

CONVOLUTIONAL = ("pixelcnn", "gated_pixelcnn")


def build_autoregressive(
    name: str,
    *,
    in_shape: tuple[int, int, int],
    rng: torch.Generator,
    classes: int | None = None,
    design: AutoregressiveDesign | None = None,
) -> RasterGenerator:
    """Return an autoregressive model of uint8 images (N, C, H, W).

    Args:
        name: one of `AUTOREGRESSIVE`.
        in_shape: (C, H, W).
        rng: source of every weight: equal states give equal bits. torch's global source is left as it was.
        classes: K, for a class-conditional model; None where it is not.
        design: the choices; None for the usual ones.

    Raises:
        InputError: a name is not known, a number is out of range, or choices do not fit together.
    """
    if name not in AUTOREGRESSIVE:
        raise unknown_name("name", name, AUTOREGRESSIVE)
    if min(in_shape) < 1:
        raise bad_value("in_shape", in_shape, "(channels, height, width), each at least 1")
    design = design or AutoregressiveDesign()
    options: dict[str, Any] = {"classes": classes, "width": design.width, "depth": design.depth}
    if name in CONVOLUTIONAL:
        options["kernel_size"] = 3 if design.kernel_size is None else design.kernel_size
    elif design.kernel_size is not None:
        raise InputError(
            f"kernel_size: {name} has no convolutions after the first, got {design.kernel_size}; leave it out"
        )
    with seeded_weights(rng):
        return RasterGenerator(AUTOREGRESSIVE[name](in_shape, design.levels.count, **options), design.levels)
