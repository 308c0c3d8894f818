"""What a run's folder holds, read when it is asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from seewhy.core.findings import CheckOutcome, Finding
from seewhy.data import DecodeRule
from seewhy.diagnosis.history import Entry
from seewhy.runs import folder as files
from seewhy.runs.watching import read_records
from seewhy.spec import DataFacts, Request
from seewhy.training.event_log import read_events


class Records:
    """The small files of a run: what was asked for, figures, findings, events and what is known of the data.

    Attributes:
        folder: where they lie; `seewhy.runs.folder` lists them.
    """

    folder: Path

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the folder, {} if it is not there yet; raises InputError if it is damaged."""
        return files.read_json(self.folder, name)

    @property
    def request(self) -> Request:
        """What was asked for; `spec` is the same with every default filled in."""
        return files.read_request(self.folder)

    @property
    def results(self) -> dict[str, Any]:
        """The final figures by split, such as `run.results["test"]["accuracy"]`; {} before the end."""
        return self.read_json("results.json")

    @property
    def ended(self) -> bool:
        """Whether the run has come to its end, and so has results; before, the best weights so far predict, uncalibrated."""
        return (self.folder / "results.json").is_file()  # a gan's are empty

    @property
    def record(self) -> dict[str, Any]:
        """What prediction, sampling and the report need beside the figures; {} before the end."""
        return files.read_record(self.folder)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """One dictionary an epoch: losses (nats), accuracies, learning rate, speed."""
        return files.read_metrics(self.folder)

    @property
    def findings(self) -> list[Finding]:
        """What watching has found wrong, the likeliest cause first; [] if nothing, or if the run was not watched."""
        return files.read_findings(self.folder).findings

    @property
    def past(self) -> list[Finding]:
        """What watching had found wrong and has passed away since, in the order of time."""
        return files.read_findings(self.folder).past

    @property
    def checks(self) -> list[CheckOutcome]:
        """How each check of the watched run has ended: found, passed, not applicable or skipped, with the reason; [] if it was not watched."""
        return files.read_findings(self.folder).checks

    @property
    def records(self) -> list[Entry]:
        """What the probes of the watched run have measured so far, oldest first; [] if it was not watched."""
        return read_records(self.folder)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event of the training so far, oldest first."""
        return read_events(self.folder)

    @cached_property
    def _known(self) -> files.RunData:
        return files.read_data(self.folder)

    @property
    def data(self) -> dict[str, Any]:
        """What the network knows of its data: classes, facts, mean, std, audit."""
        return self._known.values

    @property
    def facts(self) -> DataFacts:
        """Size, channels and number of the images."""
        return self._known.facts

    @property
    def rule(self) -> DecodeRule:
        """How its images were decoded, and those that it predicts are."""
        return self._known.rule

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the network's outputs."""
        return tuple(self.data["classes"])
