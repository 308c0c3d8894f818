"""The final figures of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seewhy.metrics import format_sparsity
from seewhy.spec import RunSpec

SPLITS = {"val": "validation", "test": "test"}

CHOSEN = ", by which the best epoch was chosen"
"""What a figure of validation is to be read with."""


VIEWS = "; over several views of each image, the epochs' figures over one"
"""What its figures are to be read with where views are averaged at the end."""


def format_results(results: Mapping[str, Any], spec: RunSpec) -> list[str]:
    """Return results.json as lines for people, a line a split.

    Of validation's that the epoch was chosen by it, which makes it look better, and that it is of several views of an image, where the lines of
    the epochs are of one.
    """
    views = dict(spec.train).get("tta") or "none"
    chosen = {"val": CHOSEN if views == "none" else f"{CHOSEN}{VIEWS} (train.tta {views})"}
    lines = [
        f"{label} {_format_split(results[split])}{chosen.get(split, '')}"
        for split, label in SPLITS.items()
        if split in results
    ]
    if "weights" in results:
        lines.append(f"weights at zero {format_sparsity(results['weights'])}")
    return lines


def _format_split(figures: Mapping[str, Any]) -> str:
    n = f"{figures['n']:,} images" if "n" in figures else "all images"
    low, high = figures.get("interval", (None, None))
    if "nats" in figures:
        bits = f"{figures['bits_per_dimension']:.3f} bits per value"
        return f"{figures['nats']:.2f} nats per image [{low:.2f}, {high:.2f}], {bits}, of {n} ({figures['estimator']})"
    if "accuracy" in figures and low is not None:
        return f"accuracy {figures['accuracy']:.2%} [{low:.2%}, {high:.2%}] of {n}"
    shown = (f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items() if isinstance(value, float))
    return f"{', '.join(shown)} of {n}"
