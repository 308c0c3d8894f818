"""The runs and studies of the given folders as rows of a table, from small files alone: torch is not needed, and what is known is kept."""

from __future__ import annotations

import math
import os
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import read_text, regular
from seewhy.core.json_lines import parse
from seewhy.reporting.formatting import format_number, format_percent
from seewhy.spec import family_of
from seewhy.spec.family import Metric
from seewhy.spec.initial import REQUEST, SPEC
from seewhy.web.following import EVENTS, RESULTS, SILENT_SECONDS, read_rows
from seewhy.web.places import STUDY, Places

FILES = (SPEC, RESULTS, "findings.json", "metrics.csv", EVENTS)
"""What a row is made of; a row is made again when one of them has changed."""

TAIL = 2048
"""Bytes at the end of events.jsonl in which the last event stands."""


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        key: in addresses.
        name: of its folder, as far as it lies below the given one, or below what all given ones lie in.
        source: its data.
        model, optimizer: by name.
        state: "ended", "stopped", "training" or "silent"; "damaged" where its specification cannot be read.
        metric: the name of its main figure, with the split that it is of.
        value: that figure; None where there is none yet.
        shown: the figure for people.
        epochs: that have ended.
        findings: how many of each severity.
        began: when it was asked for, in seconds since 1970.
    """

    key: str
    name: str
    source: str
    model: str
    optimizer: str
    state: str
    metric: str
    value: float | None
    shown: str
    epochs: float
    findings: Mapping[str, int]
    began: float


@dataclass(frozen=True)
class StudyRow:
    """One study: its key, name, variants, and when it was made."""

    key: str
    name: str
    variants: int
    seeds: int
    began: float


class Listing:
    """Lists what lies in the given folders.

    Args:
        places: the folders.
    """

    def __init__(self, places: Places) -> None:
        self._places, self._lock = places, threading.Lock()
        self._known: dict[Path, tuple[list[int], RunRow]] = {}

    def read(self) -> tuple[list[RunRow], list[StudyRow]]:
        """Return runs and studies, the youngest first."""
        runs, studies = [], []
        with self._lock:
            for folder in self._places.found():
                if (folder / STUDY).is_file():
                    studies.append(self._study(folder))
                else:
                    runs.append(self.row(folder))
        return (
            sorted(runs, key=lambda row: row.began, reverse=True),
            sorted(studies, key=lambda row: row.began, reverse=True),
        )

    def row(self, folder: Path) -> RunRow:
        """Return the row of one run."""
        stamps = [_modified(folder / name) for name in FILES]
        known = self._known.get(folder)
        if known is not None and known[0] == stamps and known[1].state not in ("training", "silent"):
            return known[1]
        row = _row(folder, self._places.key(folder), self._name(folder))
        self._known[folder] = (stamps, row)
        return row

    def _name(self, folder: Path) -> str:
        """Return the way to a folder from what all given ones lie in, so that no two runs have one name."""
        root = Path(os.path.commonpath(self._places.runs))
        return folder.name if folder == root else folder.relative_to(root).as_posix()

    def _study(self, folder: Path) -> StudyRow:
        try:
            values = tomllib.loads(read_text(folder / STUDY))
            variants, seeds = len(values["variants"]), len(values["seeds"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            variants, seeds = 0, 0
        began = _modified(folder / STUDY) / 1e9
        return StudyRow(self._places.key(folder), self._name(folder), variants, seeds, began)


def _row(folder: Path, key: str, name: str) -> RunRow:
    began = (_modified(folder / REQUEST) or _modified(folder / SPEC)) / 1e9
    try:
        spec = tomllib.loads(read_text(folder / SPEC))
        source, model, optimizer = str(spec["source"]), str(spec["model"]["name"]), str(spec["optim"]["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return RunRow(key, name, "", "", "", "damaged", "", None, "–", 0.0, {}, began)
    rows = read_rows(folder)
    metric, value, shown = _figure(folder, model, rows)
    findings = _findings(folder)
    epochs = rows[-1].get("epoch", 0.0) if rows else 0.0
    return RunRow(key, name, source, model, optimizer, _state(folder), metric, value, shown, epochs, findings, began)


def _figure(folder: Path, model: str, rows: list[dict[str, float]]) -> tuple[str, float | None, str]:
    """Return a run's main figure: its name with the split, the number, and the number for people."""
    try:
        metrics = family_of(model).metrics
    except InputError:  # of a plug-in that is not here
        return "", None, "–"
    results = read_object(folder / RESULTS)
    for metric in metrics[:1]:
        for split in ("test", "val"):
            value = results.get(split, {}).get(metric.name) if isinstance(results.get(split), dict) else None
            value = rows[-1].get(f"{split}_{metric.name}") if value is None and rows else value
            if isinstance(value, (int, float)) and math.isfinite(value):
                return (
                    (split if metric.unit else f"{split} {metric.name.replace('_', ' ')}"),
                    float(value),
                    format_figure(value, metric),
                )
    return "", None, "–"


def format_figure(value: float, metric: Metric) -> str:
    """Return a figure for people."""
    return f"{format_number(value)} {metric.unit}" if metric.unit else format_percent(value)


def _findings(folder: Path) -> Mapping[str, int]:
    """Return how many findings of each severity last."""
    found = read_object(folder / "findings.json").get("findings")
    rows = found if isinstance(found, list) else []
    return dict(Counter(str(each.get("severity")) for each in rows if isinstance(each, dict)))


def _state(folder: Path) -> str:
    if (folder / RESULTS).is_file():
        return "ended"
    logs = [folder / EVENTS, *(folder / "members").glob(f"*/{EVENTS}")]
    age = time.time() - max(map(_modified, logs)) / 1e9
    if '"reason": "interrupted"' in _tail(folder / EVENTS):
        return "stopped"
    return "training" if age < SILENT_SECONDS else "silent"


def _tail(path: Path) -> str:
    """Return the last whole line of a file."""
    try:
        with open(path, "rb", opener=regular) as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return file.read().decode("utf-8", "replace").rstrip("\n").rpartition("\n")[2]
    except OSError:
        return ""


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; {} where there is none."""
    try:
        value = parse(read_text(path))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
