"""The result of a claim as a file, and the results that come with the package.

A result holds the numbers, never the verdict: that follows from the numbers whenever it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from seewhy.comparison.claims.base import Criterion, Measured, Verdict
from seewhy.core.errors import InputError
from seewhy.core.files import write_json
from seewhy.reporting.claim_records import figure_from_json, figure_to_json

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    """A claim as it was measured.

    Attributes:
        code: C01 ...
        measured: the numbers.
        data: the name of the images.
        images: how many of them, in words.
        quick: whether only the working of the experiment was tried.
        seeds: repetitions.
        seconds: that it took.
        machine: (name, text): processor, cores, versions.
        command: what repeats it.
    """

    code: str
    measured: Measured
    data: str
    images: str
    quick: bool
    seeds: int
    seconds: float
    machine: Mapping[str, str]
    command: str

    @property
    def verdict(self) -> Verdict:
        """What the rule says."""
        return self.measured.verdict

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON; the verdict stands in it for people, and is not read."""
        criteria = [
            {**asdict(each), "estimate": each.estimate, "interval": _finite(each.interval), "state": each.state}
            for each in self.measured.criteria
        ]
        return {
            "format": FORMAT,
            "code": self.code,
            "verdict": self.verdict.name,
            "text": self.verdict.text,
            "criteria": criteria,
            "experiment": self.measured.experiment,
            "remarks": dict(self.measured.remarks),
            "figure": figure_to_json(self.measured.figure),
            **{
                name: getattr(self, name)
                for name in ("data", "images", "quick", "seeds", "seconds", "machine", "command")
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Result:
        """Return the result of `to_json`.

        Raises:
            InputError: it was written by another version, or is none.
        """
        if not isinstance(value, Mapping) or value.get("format") != FORMAT:
            raise InputError(f"must be a result of `seewhy claims` with format {FORMAT}")
        derived = ("estimate", "interval", "state")
        try:
            criteria = tuple(
                Criterion(**{name: part for name, part in each.items() if name not in derived})
                for each in value["criteria"]
            )
            measured = Measured(
                criteria=criteria,
                experiment=value["experiment"],
                figure=figure_from_json(value["figure"]),
                remarks=tuple(value["remarks"].items()),
            )
            names = ("code", "data", "images", "quick", "seeds", "seconds", "machine", "command")
            return cls(measured=measured, **{name: value[name] for name in names})
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"is no result of `seewhy claims`: {error!r}") from None


def _finite(interval: tuple[float, float]) -> list[float | None]:
    return [bound if abs(bound) < float("inf") else None for bound in interval]


def write_result(folder: Path, result: Result) -> None:
    """Write a result into a folder of results."""
    write_json(folder / f"{result.code}.json", result.to_json())


def read_result(path: Path) -> Result:
    """Read a result.

    Raises:
        InputError: the file is no result; names it.
    """
    try:
        return Result.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (InputError, ValueError) as error:
        raise InputError(f"{path}: {error}; remove it, or name another --out") from None


@cache
def committed_results() -> dict[tuple[str, str], Result]:
    """Return the results that come with the package, by code and data."""
    found = {}
    for file in sorted(files("seewhy.comparison.claims").joinpath("results").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            for value in json.loads(file.read_text(encoding="utf-8")):
                result = Result.from_json(value)
                found[result.code, result.data] = result
    return found
