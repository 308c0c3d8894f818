"""Explanations as records and as files of a run: those of the most confident mistakes stand in its report.

explained/   mistakes.json and mistakes.npz, the maps and images of the most confident mistakes; features.safetensors, the features of the
             training images; explanation.png, the figure of the last images that were explained
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.core.errors import InputError, bad_value
from seewhy.core.files import naming, write_json
from seewhy.models.randomisation import UNCHANGED, Randomised
from seewhy.reporting import Block, Chart, Paragraph, Section, Table
from seewhy.reporting.explanations import AttributionMap, ExplainedImage, Neighbour, explanation_chart
from seewhy.runs.folder import read_json, write_arrays

FOLDER = "explained"
FIGURE = "explanation.png"

WORDS = {"grad_cam": "Grad-CAM", "integrated_gradients": "integrated gradients", "occlusion": "occlusion"}
"""Methods as people write them."""


@dataclass(frozen=True)
class Explanation:
    """Why one image was predicted so.

    Attributes:
        shown: the image, its maps and its neighbours, as the figure draws them.
        gap: of integrated gradients, |sum of the map - (y(x) - y(b))| in logits; None if they were not computed.
        rise: of integrated gradients, y(x) - y(b): how far the logit of the class is above that of the baseline.
    """

    shown: ExplainedImage
    gap: float | None = None
    rise: float | None = None

    @property
    def maps(self) -> dict[str, np.ndarray[Any, Any]]:
        """By method, float32 [H, W]: above 0 what speaks for the class, below 0 against it."""
        methods = {words: name for name, words in WORDS.items()}
        return {methods[one.name]: one.values for one in self.shown.maps}

    def to_json(self) -> dict[str, Any]:
        """Return all but the pixels as JSON values; of each map the position [row, column] that speaks most for the class."""
        shown = self.shown
        record: dict[str, Any] = {
            "name": shown.name,
            "label": shown.predicted,
            "confidence": shown.confidence,
            "class": shown.explained,
            "true": shown.true,
            "peaks": {name: list(map(int, np.unravel_index(v.argmax(), v.shape))) for name, v in self.maps.items()},
            "nearest": [{"name": n.name, "label": n.label, "distance": n.distance} for n in shown.neighbours],
        }
        return record if self.gap is None else {**record, "completeness": {"gap": self.gap, "rise": self.rise}}


@dataclass(frozen=True)
class Explanations:
    """What `seewhy explain` has found.

    Attributes:
        images: an explanation each.
        layer: whose feature map Grad-CAM takes, by its name in the network; None without Grad-CAM.
        sanity: by method, how much its maps are like those of random weights; {} if that was not looked at.
        notes: what must be known to read them.
        errors: name and reason of every image that cannot be read.
    """

    images: tuple[Explanation, ...]
    layer: str | None = None
    sanity: Mapping[str, Randomised] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all but the pixels as JSON values."""
        return {
            "images": [one.to_json() for one in self.images],
            "layer": self.layer,
            "sanity": {
                name: {
                    "correlation": found.correlation,
                    "threshold": UNCHANGED,
                    "explains": found.explains,
                    "cascade": [list(pair) for pair in found.cascade],
                }
                for name, found in self.sanity.items()
            },
            "notes": list(self.notes),
            "errors": [{"name": name, "error": reason} for name, reason in self.errors],
        }

    def verdicts(self) -> list[tuple[str, float, str]]:
        """Return method, rank correlation with the maps of random weights, and what that says of its maps."""
        barely = (
            f"this map barely changes when the weights are random (at least {UNCHANGED:g}): "
            "it shows the image, not what the network has learnt"
        )
        return [
            (WORDS[name], found.correlation, "changes with the weights" if found.explains else barely)
            for name, found in self.sanity.items()
        ]

    def lines(self) -> list[str]:
        """Return what must be known to read the maps, as sentences for people."""
        known = "rank correlation {:.2f} with the maps of random weights"
        return [*(f"{name}: {said} ({known.format(value)})." for name, value, said in self.verdicts()), *self.notes]

    def __str__(self) -> str:
        rows = []
        for one in self.images:
            shown = one.shown
            about = "" if shown.explained == shown.predicted else f"  (maps of {shown.explained})"
            rows.append(f"{shown.name}  {shown.predicted}  {shown.confidence:.1%}{about}")
            if one.gap is not None and one.rise is not None:
                rows.append(f"  integrated gradients sum to {one.rise:+.2f} in logits, but for {one.gap:.2g}")
            if shown.neighbours:
                near = ", ".join(f"{n.label} {n.name} ({n.distance:.2f})" for n in shown.neighbours)
                rows.append(f"  nearest training images: {near}")
        rows += [f"{name}  error: {reason}" for name, reason in self.errors]
        return "\n".join([*rows, *self.lines()])

    def chart(self) -> Any:
        """Draw all of it as one figure, an Altair chart."""
        return explanation_chart([one.shown for one in self.images], self.lines())

    def save(self, path: str | Path) -> None:
        """Write the figure to a file.

        Args:
            path: ends in .png, .svg or .html.

        Raises:
            InputError: another ending.
            RunError: the file cannot be written.
        """
        from seewhy.reporting import save_figure

        validate_figure(path)
        save_figure(self.chart(), path)


def validate_figure(path: str | Path) -> None:
    """Raise InputError where a figure cannot be written in the form that a name asks for."""
    if Path(path).suffix.lower() not in (".png", ".svg", ".html"):
        raise bad_value("out", str(path), "a name that ends in .png, .svg or .html")


def mistakes_of(record: Mapping[str, Any]) -> list[list[Any]]:
    """Return what tells the mistakes of one end of a run from those of another."""
    return [[row["name"], row["predicted"], row["confidence"]] for row in record.get("mistakes", ())]


def write_explained(folder: Path, found: Explanations, record: Mapping[str, Any]) -> None:
    """Write the explanations of the most confident mistakes, for the report.

    Args:
        folder: of the run.
        found: the explanations.
        record: the run's record.json.
    """
    arrays: dict[str, Any] = {}
    rows = []
    for number, one in enumerate(found.images):
        shown = one.shown
        arrays[f"{number}"] = shown.image
        arrays |= {f"{number}-map-{at}": each.values for at, each in enumerate(shown.maps)}
        arrays |= {f"{number}-near-{at}": each.image for at, each in enumerate(shown.neighbours)}
        rows.append(
            {
                **{name: getattr(shown, name) for name in ("name", "predicted", "confidence", "explained", "true")},
                "maps": [{"name": m.name, "lines": list(m.lines), "doubtful": m.doubtful} for m in shown.maps],
                "neighbours": [{"label": n.label, "name": n.name, "distance": n.distance} for n in shown.neighbours],
            }
        )
    home = folder / FOLDER
    with naming(home):
        home.mkdir(exist_ok=True)
    write_arrays(home / "mistakes.npz", arrays)
    write_json(
        home / "mistakes.json",
        {"of": mistakes_of(record), "sanity": found.verdicts(), "notes": found.notes, "images": rows},
    )


def explained_section(folder: Path, record: Mapping[str, Any]) -> Section | None:
    """Return the report's section; None where no mistakes were explained, or those of an earlier end of the run."""
    found = read_json(folder, f"{FOLDER}/mistakes.json")
    if not found or found["of"] != mistakes_of(record):
        return None
    path = folder / FOLDER / "mistakes.npz"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            images = [_image(row, number, arrays) for number, row in enumerate(found["images"])]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is damaged or missing ({error}); `seewhy explain {folder}` writes it anew") from None
    lead = (
        "What the network rests on where it was most confidently wrong: maps of the class that it predicted, "
        "and the training images that are nearest in the inputs of its last layer."
    )
    blocks: list[Block] = [Paragraph(lead), Chart(explanation_chart(images), "Attribution maps")]
    if found["sanity"]:
        head = ("Map", "Rank correlation with the maps of random weights", "")
        blocks.append(Table(head, found["sanity"], "Whether the maps depend on the weights"))
    return Section("Why the most confident mistakes", [*blocks, *map(Paragraph, found["notes"])])


def _image(row: Mapping[str, Any], number: int, arrays: Mapping[str, Any]) -> ExplainedImage:
    maps = [AttributionMap(values=arrays[f"{number}-map-{at}"], **one) for at, one in enumerate(row["maps"])]
    near = [Neighbour(image=arrays[f"{number}-near-{at}"], **one) for at, one in enumerate(row["neighbours"])]
    fields = {name: row[name] for name in ("name", "predicted", "confidence", "explained", "true")}
    return ExplainedImage(image=arrays[f"{number}"], maps=maps, neighbours=near, **fields)
