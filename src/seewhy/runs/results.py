"""The final figures of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seewhy.metrics import format_sparsity

SPLITS = {"val": "validation", "test": "test"}

CHOSEN = ", by which the best epoch was chosen"
"""What a figure of validation is to be read with."""


def format_results(results: Mapping[str, Any]) -> list[str]:
    """Return results.json as lines for people, a line a split; of validation's that the epoch was chosen by it, which makes it look better."""
    chosen = {"val": CHOSEN}
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
