"""What a generative model's run shows in its report: sheets through training to leaf through, sheets at the end, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seewhy.core.files import is_inside
from seewhy.models.family import FamilyReport
from seewhy.models.generative.frames import FOLDER as FRAMES_FOLDER
from seewhy.reporting import Block, Chart, Figures, Frames, Section, Sheet
from seewhy.spec import RunSpec

SPLITS = {"test": "Test", "val": "Validation"}


class FolderReader(Protocol):
    """A run's folder, as far as its report needs it."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    @property
    def spec(self) -> RunSpec:
        """The resolved specification."""

    @property
    def results(self) -> Mapping[str, Any]:
        """What the end of the run gave, by split; {} before."""

    @property
    def record(self) -> Mapping[str, Any]:
        """What the end of the run left for the report; {} before."""


def generative_report(
    reader: FolderReader, *, given: str = "", charts: Sequence[Chart] = (), notes: Sequence[str] = ()
) -> FamilyReport:
    """Gather what a model has generated so far, and how probable it finds real images.

    Args:
        reader: the run's folder.
        given: what a likelihood is conditional on, such as " given the latent".
        charts: shown after the sheets.
        notes: shown above everything else.
    """
    blocks: list[Block] = []
    if frames := _frames(reader.folder):
        blocks.append(Frames(frames))
    blocks += [sheet for entry in reader.record.get("sheets", ()) if (sheet := _sheet(reader.folder, entry))]
    blocks += charts
    figures = [*_likelihoods(reader.results), *((label, value) for label, value in reader.record.get("figures", ()))]
    if figures:
        blocks.append(Figures(figures))
    return FamilyReport(
        summary=_summary(reader.results, given),
        python="run.sample(16)",
        notes=notes,
        sections=[Section("Generated images", blocks, "generated")] if blocks else (),
    )


def has_ended(reader: FolderReader) -> bool:
    """Whether the run has come to its end."""
    return "sheets" in reader.record


def _frames(folder: Path) -> list[Sheet]:
    sheets = []
    for path in sorted((folder / FRAMES_FOLDER).glob("epoch-*.png")):
        epoch = int(path.stem.split("-")[1])
        sheets.append(Sheet(f"epoch {epoch}", _read_image(path), f"The same noise after epoch {epoch}."))
    return sheets


def _sheet(folder: Path, entry: Mapping[str, str]) -> Sheet | None:
    """Read a sheet; None if its file is not there, or not in the folder."""
    if not is_inside(folder, entry["file"]):
        return None
    return Sheet(entry["name"], _read_image(folder / entry["file"]), entry["caption"])


def _read_image(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.atleast_3d(np.asarray(image))


def _summary(results: Mapping[str, Any], given: str) -> list[tuple[str, str]]:
    tiles = []
    for split, label in SPLITS.items():
        if split in results:
            low, high = results[split]["interval"]
            tiles.append((f"{label} nats{given}", f"{results[split]['nats']:.2f} [{low:.2f}, {high:.2f}]"))
    return tiles


def _likelihoods(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how probable a model finds the images of each split, and by what estimator."""
    rows = []
    for split, label in SPLITS.items():
        if split in results:
            figures = results[split]
            low, high = figures["interval"]
            nats = f"{figures['nats']:.2f} nats per image [{low:.2f}, {high:.2f}]"
            bits = f"{figures['bits_per_dimension']:.4f} bits per dimension"
            text = f"-log p: {nats}, {bits}, of {figures['n']:,} images: {figures['estimator']}"
            rows.append((f"{label} split", text))
    return rows
