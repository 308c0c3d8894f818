"""What came of a trial: the metric of every variant by seed, whether the finding is gone, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from seewhy.core.files import write_json
from seewhy.core.findings import Finding
from seewhy.diagnosis.history import plain
from seewhy.runs.diagnose.diagnosis import read_diagnosis
from seewhy.runs.diagnose.verdict import compare, format_comparison, format_values
from seewhy.runs.folder import read_json
from seewhy.runs.run import Run
from seewhy.runs.watching import FINDINGS
from seewhy.spec import Metric

TRY = "try.json"


@dataclass(frozen=True)
class Variant:
    """One of the changes that are compared.

    Attributes:
        name: "original", "remedy-1", ..., "random".
        text: of the remedy; "" for the others.
        edits: by seed; "" for none.
    """

    name: str
    text: str
    edits: Mapping[int, str]

    @property
    def shown(self) -> str:
        """Its edits for people."""
        return "; ".join(dict.fromkeys(self.edits.values()))


@dataclass(frozen=True)
class Measured:
    """A variant and what its runs have reached.

    Attributes:
        variant: what was changed.
        values: the metric by seed; None for a run that could not go on.
        found: whether the finding lasted, by seed; None where the run ended before it was looked at.
        failures: why runs could not go on, by seed.
    """

    variant: Variant
    values: tuple[float | None, ...]
    found: tuple[bool | None, ...]
    failures: Mapping[int, str]


def measured(
    variant: Variant, folders: Mapping[int, Path], metric: Metric, code: str, failures: Mapping[Path, str]
) -> Measured:
    """Read the runs of a variant, by seed."""
    values = [read_json(folder, "results.json").get("val", {}).get(metric.name) for folder in folders.values()]
    failed = {seed: failures[folder] for seed, folder in folders.items() if folder in failures}
    return Measured(variant, tuple(values), tuple(_found(folder, code) for folder in folders.values()), failed)


def _found(folder: Path, code: str) -> bool | None:
    if not (folder / FINDINGS).is_file():
        return None
    return any(finding.code == code for finding in read_diagnosis(Run(folder)).findings)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        run: the original's folder.
        finding: whose remedies were tried.
        metric: of validation.
        seeds: in order.
        variants: the original first, the random change last.
        folder: of the trial's runs.
    """

    run: Path
    finding: Finding
    metric: Metric
    seeds: tuple[int, ...]
    variants: tuple[Measured, ...]
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return {
            "run": str(self.run),
            "finding": plain(self.finding.to_json()),
            "metric": {"name": self.metric.name, "higher_is_better": self.metric.higher},
            "seeds": list(self.seeds),
            "variants": [self._json(each) for each in self.variants],
        }

    def _json(self, each: Measured) -> dict[str, Any]:
        ended = [value for value in each.values if value is not None]
        found: dict[str, Any] = {
            "name": each.variant.name,
            "edits": list(each.variant.edits.values()),
            "values": list(each.values),
            "mean": fmean(ended) if ended else None,
            "sd": stdev(ended) if len(ended) > 1 else None,
            "finding_lasts": list(each.found),
            "failures": {str(seed): why for seed, why in each.failures.items()},
        }
        if each is not self.variants[0]:
            found["comparison"] = compare(self.variants[0].values, each.values, self.metric).to_json()
        return found

    def save(self) -> None:
        """Write try.json into the trial's folder."""
        write_json(self.folder / TRY, self.to_json())

    def lines(self) -> list[str]:
        """Return the outcome for people: a line a variant."""
        width = max(len(each.variant.name) for each in self.variants)
        found = [f"{self.finding.code}: {self.metric.name} of the validation images"]
        for each in self.variants:
            row = f"{each.variant.name:<{width}}  {format_values(each.values, self.metric)}, {self._gone(each)}"
            found.append(row)
            if each is not self.variants[0]:
                comparison = compare(self.variants[0].values, each.values, self.metric)
                verdict = format_comparison(comparison, self.metric, len(self.seeds))
                found += [f"{'':<{width}}  {each.variant.shown}", f"{'':<{width}}  {verdict}"]
        return found

    def _gone(self, each: Measured) -> str:
        told = [found for found in each.found if found is not None]
        return f"the finding lasts in {sum(told)} of {len(told)}"

    def __str__(self) -> str:
        return "\n".join(self.lines())
