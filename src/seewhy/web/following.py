"""A run as it goes on: the events of its events.jsonl, read as they come, from whatever process or machine writes them."""

from __future__ import annotations

import csv
import io
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seewhy.core.files import read_text, regular
from seewhy.core.json_lines import parse
from seewhy.reporting.formatting import format_number, format_percent, format_term, is_share
from seewhy.reporting.records import LinePlot

EVENTS, RESULTS = "events.jsonl", "results.json"
"""As `seewhy.training.event_log` and `seewhy.runs.folder` call them, which need torch."""

POINTS = 400
"""Points of a series that are kept, at most twice as many; each is a mean over as many steps as it takes."""

WINDOW_SECONDS = 15.0
"""Over which speed is measured."""

SILENT_SECONDS = 90.0
"""Without an event, after which nobody seems to train a run that has not ended."""

KEPT = 32
"""Runs whose events are kept in memory."""

SKIPPED = ('"event": "gradients_ready"', '"event": "optimizer_stepped"')
"""Lines that say nothing here; most of a file."""


class Series:
    """A series over steps of which few points are kept: means over strides that double as it grows."""

    def __init__(self) -> None:
        self._points: list[tuple[int, float]] = []
        self._stride, self._sum, self._count = 1, 0.0, 0

    def add(self, step: int, value: float) -> None:
        """Take the next value; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._stride:
            return
        self._points.append((step, self._sum / self._count))
        self._sum, self._count = 0.0, 0
        if len(self._points) >= 2 * POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            self._points = [(later, (first + second) / 2) for (_, first), (later, second) in pairs]
            self._stride *= 2

    def points(self) -> list[tuple[int, float]]:
        """Return (step, mean) in order, what is not a whole stride yet left out."""
        return list(self._points)


@dataclass
class State:
    """What the events have said so far.

    Attributes:
        step, total, per_epoch: steps taken, of how many, of an epoch.
        epoch: that goes on, from 1.
        metrics: of the last step by name.
        lr: of the last step.
        series: metrics of the steps.
        rows: of the epochs, by the step at their end.
        findings: lines for people, those that have passed away too.
        reason: how the training ended, "" while it goes on.
        told: time of the last event.
        plan: what was said before the start.
        members: of an ensemble, how many have ended, of how many.
        window: (time, step, images so far) of the last steps.
        images: seen so far.
        pace: steps and images a second in the epoch before.
    """

    step: int = 0
    total: int = 0
    per_epoch: int = 0
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    lr: float | None = None
    series: dict[str, Series] = field(default_factory=dict)
    rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    reason: str = ""
    told: float = 0.0
    plan: list[tuple[str, str]] = field(default_factory=list)
    members: tuple[int, int] | None = None
    window: deque[tuple[float, int, int]] = field(default_factory=deque)
    images: int = 0
    pace: tuple[float, float] | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take the next event; one that is not as it should be says nothing."""
        self.told = _number(event.get("time")) or self.told
        match event.get("event"):
            case "planned":
                self.plan = [(str(name), str(text)) for name, text in event.get("lines", ())]
            case "run_started":
                self.step, self.total = int(event["step"]), int(event["total_steps"])
                self.per_epoch, self.reason = max(1, int(event["steps_per_epoch"])), ""
                self.window.clear()
                self.pace = None
            case "step_ended":
                self._step(event)
            case "epoch_ended":
                row = event["row"]
                self.rows[int(row["step"])] = row
                self.pace = self.speed()
                self.window.clear()  # validation and saving are no part of the speed
            case "found" | "passed_away":
                self.findings.append(str(event["text"]))
            case "run_ended":
                self.reason = str(event["reason"])
            case "members_started":
                self.members, self.reason = (int(event["done"]), int(event["total"])), ""
            case "member_ended" if self.members is not None:
                self.members = (self.members[0] + 1, self.members[1])

    def _step(self, event: Mapping[str, Any]) -> None:
        self.step, self.epoch, self.lr = int(event["step"]), int(event["epoch"]) + 1, _number(event["lr"])
        self.metrics = {
            name: value for name, given in event["metrics"].items() if (value := _number(given)) is not None
        }
        for name, value in self.metrics.items():
            self.series.setdefault(name, Series()).add(self.step, value)
        self.images += int(event["images"])
        self.window.append((self.told, self.step, self.images))
        while self.window[-1][0] - self.window[0][0] > WINDOW_SECONDS:
            self.window.popleft()

    def speed(self) -> tuple[float, float] | None:
        """Return steps and images a second of late; those of the epoch before while too little is known, None without."""
        if len(self.window) < 2:
            return self.pace
        (start, first, before), (end, last, after) = self.window[0], self.window[-1]
        seconds = end - start
        return ((last - first) / seconds, (after - before) / seconds) if seconds > 0 else self.pace


class Follower:
    """Reads the events of one run; may be asked from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._at, self._rest = 0, b""
        self._state = State()

    def read(self) -> State:
        """Read what has come, and return what is known; do not change it."""
        with self._lock:
            self._read()
            return self._state

    def _read(self) -> None:
        try:
            with open(self.folder / EVENTS, "rb", opener=regular) as file:
                status = os.fstat(file.fileno())
                size, known = status.st_size, (status.st_dev, status.st_ino)
                if known != self._file or size < self._at:  # a run that goes on has cut what came after its checkpoint
                    self._file, self._at, self._rest, self._state = known, 0, b"", State()
                file.seek(self._at)
                data = file.read(size - self._at)
        except OSError:
            return
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if any(skipped in text for skipped in SKIPPED):
                continue
            try:
                self._state.take(parse(text))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                continue


class Followers:
    """The runs that are followed, those that were asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Follower] = OrderedDict()

    def of(self, folder: Path) -> Follower:
        """Return who follows a run."""
        with self._lock:
            follower = self._kept.pop(folder, None) or Follower(folder)
            self._kept[folder] = follower
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return follower


def state_name(folder: Path, state: State, now: float | None = None) -> str:
    """Return how a run is: "ended", "stopped", "evaluating", "training", or "silent" where nothing has come for long."""
    if (folder / RESULTS).is_file():
        return "ended"
    if state.reason == "interrupted":
        return "stopped"
    logs = (folder / EVENTS, *(folder / "members").glob(f"*/{EVENTS}"))
    told = max(state.told, *map(_modified, logs))
    if (time.time() if now is None else now) - told > SILENT_SECONDS:
        return "silent"
    return "evaluating" if state.reason else "training"


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def progress(folder: Path, state: State) -> dict[str, Any]:
    """Return how far a run is, as JSON values; of the last batch, its metrics in words."""
    speed, left = state.speed(), None
    name = state_name(folder, state)
    if speed is not None and speed[0] > 0 and name == "training":
        left = max(0, state.total - state.step) / speed[0]
    return {
        "state": name,
        "step": state.step,
        "total": state.total,
        "epoch": state.epoch,
        "epochs": -(-state.total // state.per_epoch) if state.per_epoch else 0,
        "metrics": [
            [f"Training {format_term(metric)}", format_percent(value) if is_share(metric) else format_number(value)]
            for metric, value in state.metrics.items()
        ],
        "lr": state.lr,
        "images_per_second": speed[1] if speed is not None and name == "training" else None,
        "seconds_left": left,
        "findings": len(state.findings),
        "members": state.members,
        "drawn": [len(state.rows), len(state.findings), state.step, name],
    }


def plots(state: State) -> list[LinePlot]:
    """Return the curves of a run: every metric of training by steps, and of validation by epochs; the learning rate."""
    names = dict.fromkeys(
        [*state.series, *(_metric(name) for row in state.rows.values() for name in row if _metric(name))]
    )
    found = []
    for name in names:
        lines = {}
        if name in state.series:
            lines["training"] = state.series[name].points()
        lines["validation"] = _column(state, f"val_{name}")
        if "training" not in lines:
            lines["training"] = _column(state, f"train_{name}")
        found.append(LinePlot(name, {key: points for key, points in lines.items() if points}, percent=is_share(name)))
    found.append(LinePlot("lr", {"learning rate": _column(state, "lr")}))
    return [plot for plot in found if plot.lines and any(plot.lines.values())]


def _metric(column: str) -> str:
    """Return the metric of a column of validation, "" of another."""
    return column.removeprefix("val_") if column.startswith("val_") else ""


def _column(state: State, name: str) -> list[tuple[int, float]]:
    rows = ((step, _number(row.get(name))) for step, row in sorted(state.rows.items()))
    return [(step, value) for step, value in rows if value is not None]


def _number(value: Any) -> float | None:
    """Return a finite number, None for anything else; the log writes others as texts."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def read_rows(folder: Path) -> list[dict[str, float]]:
    """Return the epochs of metrics.csv; [] where there are none or the file is damaged."""
    try:
        rows = csv.DictReader(io.StringIO(read_text(folder / "metrics.csv")))
        return [{name: float(value) for name, value in row.items() if value} for row in rows]
    except (OSError, ValueError, TypeError, csv.Error):
        return []
