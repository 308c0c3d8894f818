"""ONNX files of less precision: the networks alone, since what is done to images and probabilities needs its own.

fp16    weights and activations of 16 bits: half the size
int8    weights and activations of 8 bits, with scales from training images (static quantisation): a quarter of the size
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from seewhy.core.errors import RunError
from seewhy.data import Split
from seewhy.export.classifier import NETWORK
from seewhy.export.formats import SCOPES, Array, Compute, quiet, require

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

CALIBRATION, CHUNK = 256, 64
"""Training images from which the scales of int8 come, and images of a call."""

QUANTISED = ("Conv", "Gemm", "MatMul")
"""Operators that compute in 8 bits."""


def reduced(data: bytes, precision: Precision, train: Split) -> bytes:
    """Return an ONNX classifier at another precision.

    Args:
        data: of float32.
        precision: "fp16" or "int8".
        train: images from which the scales of int8 come.

    Raises:
        RunError: the network has nothing that can be quantised, or the converter fails.
    """
    model = require("onnx").load_from_string(data)
    try:
        with quiet():
            return _half(model) if precision == "fp16" else _quantised(model, train)
    except RunError:
        raise
    except Exception as error:  # a converter raises whatever its parts do
        raise RunError(f"the network cannot be converted to {precision}: {type(error).__name__}: {error}") from error


def _of_network(node: Any) -> bool:
    """Whether a node computes inside of a network."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    return f"'{NETWORK}" in scopes


def _half(model: Any) -> bytes:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    outside = [node.name for node in model.graph.node if not _of_network(node)]
    converted = convert_float_to_float16(model, keep_io_types=True, node_block_list=outside)
    serialised: bytes = converted.SerializeToString()
    return serialised


def _quantised(model: Any, train: Split) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self.chunks = image_chunks(train, CALIBRATION)

        def get_next(self) -> dict[str, Array] | None:
            return next(({"images": images} for images, _ in self.chunks), None)

    nodes = [node.name for node in model.graph.node if node.op_type in QUANTISED and _of_network(node)]
    if not nodes:
        raise RunError("the network has no convolution or linear layer that can compute in 8 bits; take fp16")
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "model.onnx"
        quantize_static(
            model,
            file,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
        )
        return file.read_bytes()


def image_chunks(split: Split, most: int | None = None) -> Iterator[tuple[Array, Array]]:
    """Yield the images (N, H, W, C) and labels of a split, or of `most` of its images, evenly spread."""
    count = len(split) if most is None else min(most, len(split))
    for rows in torch.split(torch.arange(count) * len(split) // max(count, 1), CHUNK):
        yield split.images(rows).permute(0, 2, 3, 1).contiguous().numpy(), split.labels[rows].numpy()


def predicted(compute: Compute, split: Split) -> tuple[Array, Array]:
    """Return the probabilities (N, K) that a file gives a split's images, and their labels (N)."""
    parts = [(compute({"images": images})["probabilities"], labels) for images, labels in image_chunks(split)]
    return np.concatenate([part for part, _ in parts]), np.concatenate([labels for _, labels in parts])
