"""Studies judged by the quality of generated images, which is measured after each judged run as `seewhy evaluate RUN --generated N` does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.trust import trust, trusted
from seewhy.spec import Metric

GENERATED = 2000
"""Images that a run samples for its figures."""

FIGURES: Mapping[str, tuple[Metric, str]] = {
    "fid": (Metric("fid", higher=False, unit="FID"), "frechet"),
    "kid": (Metric("kid", higher=False, unit="KID"), "kernel"),
    "precision": (Metric("precision", higher=True), "precision_recall"),
    "recall": (Metric("recall", higher=True), "precision_recall"),
    "density": (Metric("density", higher=True), "density_coverage"),
    "coverage": (Metric("coverage", higher=True), "density_coverage"),
}
"""Figures of sample quality by name, each with its place among those that `evaluate` prints."""


@dataclass(frozen=True)
class Sampling:
    """How the samples of a study's runs are judged.

    Attributes:
        generated: images of each run.
        extractor: a classifier's run, or "inception", by whose features they are compared; "" for pixels.
    """

    generated: int = GENERATED
    extractor: str = ""

    def command(self, run: Path) -> list[str]:
        """Return the arguments of `seewhy` that measure a run."""
        about = ["--extractor", self.extractor] if self.extractor else []
        if trusted() & set(_code(self.extractor)):
            about.append("--trust")
        return ["evaluate", str(run), "--generated", str(self.generated), "--json", *about]


def value_of(figures: Mapping[str, Any], metric: str) -> Any:
    """Return one figure from what `evaluate` has printed; None where it is not there."""
    found = figures.get("generated", {}).get(FIGURES[metric][1], {})
    return found.get(metric) if isinstance(found, dict) else None


def read_figures(log: Path) -> dict[str, Any]:
    """Return the JSON that `evaluate` has printed into a log, whatever stands around it.

    Raises:
        InputError: there is none.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    try:
        figures = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    except ValueError:
        raise InputError(f"{log}: holds no figures of sample quality") from None
    return dict(figures)


def trust_extractor(extractor: str) -> None:
    """Let the code that an extractor's run names be imported in this process, and in those that it starts."""
    for name in _code(extractor):
        trust(name)


def _code(extractor: str) -> tuple[str, ...]:
    """Return the names that are imported for an extractor's network."""
    from seewhy.runs.extractors import INCEPTION
    from seewhy.runs.run import Run

    return () if extractor in ("", INCEPTION) else tuple(Run(extractor).spec.model.code)


def validate_extractor(extractor: str, shape: tuple[int, int, int]) -> str:
    """Refuse an extractor that cannot be had, before any run; returns it, a run as an absolute path.

    Args:
        extractor: as `seewhy evaluate --extractor` takes it.
        shape: (C, H, W) of the images.

    Raises:
        InputError: its weights are not there, or it is no run of a classifier of such images.
    """
    from seewhy.runs.extractors import INCEPTION, inception_features, run_features
    from seewhy.runs.run import Run

    if extractor == INCEPTION:
        inception_features()
        return extractor
    run = Run(extractor)
    if run.facts.shape != shape:
        raise InputError(
            f"extractor: {extractor} takes images of {run.facts.shape}, but these are {shape}; train it at the same resolution"
        )
    run_features(run.model, run.folder.name, shape)
    return str(run.folder.absolute())
