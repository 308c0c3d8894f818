"""A classifier as one graph: uint8 images of any size in, calibrated probabilities out.

channels    grey or colour as in training
fit         Pillow's bilinear filter as two matrix products: cropped, padded or stretched as the run's data are (`data.fit`)
classify    each member's normalisation and network over the test-time views, softmax
average     over views, then members
calibrate   softmax(log p / T)
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.data import Fit
from seewhy.metrics.calibration import tempered
from seewhy.models.graph import Graph, Port
from seewhy.models.predictor import Predictor, view_probabilities
from seewhy.models.resize import any_to_channels, resample
from seewhy.runs.run import Run

GOALS = (0.9, 0.95, 0.99)
"""Accuracies for which the confidence is told from which on they are reached."""

NETWORK = "members."
"""What the names of the networks' modules begin with."""


class ClassifierGraph(nn.Module):
    """uint8 (N, H, W, 1 or 3) -> probabilities, float32 (N, K), and the pixels that the network sees, uint8 (N, S, S, C)."""

    def __init__(self, predictor: Predictor, fit: Fit) -> None:
        super().__init__()
        self.members, self.shape, self.views = predictor.members, predictor.shape, predictor.views
        self.temperature, self.fit = float(predictor.temperature), fit

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and pixels."""
        channels, *size = self.shape
        pixels = resample(any_to_channels(images.permute(0, 3, 1, 2), channels), (size[0], size[1]), self.fit)
        each = torch.stack([view_probabilities(member, pixels, self.views) for member in self.members])
        return tempered(each.mean(0), self.temperature), pixels.permute(0, 2, 3, 1)


def float_predictor(run: Run) -> Predictor:
    """Return what predicts, in float32 on the CPU."""
    return copy.deepcopy(run.predictor).cpu().float().requires_grad_(False)


def classifier_graph(run: Run, predictor: Predictor) -> Graph:
    """Return the graph of a run that predicts.

    Args:
        run: a classifier.
        predictor: of `float_predictor`.
    """

    def reference(images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = run.read(images.numpy())
        return predictor(pixels), pixels.permute(0, 2, 3, 1)

    image = Port(
        axes=("batch*", "height*", "width*", "channels*"),
        meaning="uint8, upright, of any size, 1 channel (grey) or 3 (RGB)",
    )
    return Graph(
        module=ClassifierGraph(predictor, run.rule.fit),
        inputs={"images": image},
        outputs={
            "probabilities": Port(axes=("batch", "class"), meaning="float32, calibrated, in the order of `classes`"),
            "pixels": Port(axes=("batch", "row", "column", "channel"), meaning="uint8, what the network sees"),
        },
        examples={"images": torch.zeros(2, 41, 37, 3, dtype=torch.uint8)},
        reference=reference,
    )


def confidence_thresholds(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Return, by accuracy, the least confidence from which on images are classified that well; without those that are not reached.

    Args:
        probabilities: (N, K) of validation images.
        labels: int64 (N).
    """
    confidence, predicted = probabilities.max(1)
    order = confidence.argsort(descending=True, stable=True)
    hits = (predicted == labels)[order].double()
    running = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    ranked = confidence[order]
    last = torch.cat([ranked[1:] < ranked[:-1], torch.ones(1, dtype=torch.bool)])  # of those that are as confident
    found = {goal: (running >= goal) & last for goal in GOALS}
    return {f"{goal:g}": float(ranked[reached.nonzero()[-1, 0]]) for goal, reached in found.items() if reached.any()}


def _thresholds(run: Run) -> dict[str, float]:
    file = run.folder / "predictions" / "val.npz"
    if not file.is_file():
        return {}
    with np.load(file) as arrays:
        return confidence_thresholds(torch.from_numpy(arrays["probabilities"]), torch.from_numpy(arrays["labels"]))


def classifier_record(run: Run) -> dict[str, Any]:
    """Return what is said of a classifier beside its graph."""
    rule = run.rule
    return {
        "classes": list(run.classes),
        "decode": {"fit": rule.fit, "max_pixels": rule.max_pixels, "peaks": rule.peaks},
        "temperature": float(run.record.get("temperature", 1.0)),
        "thresholds": _thresholds(run),
        "views": run.predictor.views,
        "members": len(run.predictor.members),
        "accuracy": {split: figures["accuracy"] for split, figures in run.results.items() if "accuracy" in figures},
    }
