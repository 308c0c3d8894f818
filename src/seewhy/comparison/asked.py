"""What is asked of a study, refused at once where it cannot be: nothing here imports torch."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from seewhy.comparison.design import Variant
from seewhy.comparison.folder import TUNES, Tune
from seewhy.comparison.quality import FIGURES
from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.spec import Request

LENGTHS = ("train.epochs", "train.minutes")
"""Fields that give the length of a run."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a study.

    Attributes:
        base: the request that the variants edit.
        variants: the choices.
        seeds: how many runs each.
        metric: its name among the results of a split; None for the family's own.
        reference: the variant with which all are compared; None: the base where there is one, else all pairs.
        tune: how each variant's learning rate is chosen; None: by short runs where there is a metric of validation to choose by.
        halving: whether hopeless variants are dropped early.
        minutes: the budget of the whole study; None for that of the base's runs.
        at_once: runs at the same time on this machine.
        command: that asks for it.
        extractor: by whose features generated images are judged; None for pixels.
    """

    base: Request
    variants: tuple[Variant, ...]
    seeds: int = 5
    metric: str | None = None
    reference: str | None = None
    tune: Tune | None = None
    halving: bool = False
    minutes: float | None = None
    at_once: int = 1
    command: str = ""
    extractor: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.seeds, int) or isinstance(self.seeds, bool) or self.seeds < 1:
            raise bad_value("seeds", self.seeds, "at least 1")
        validate_jobs(self.at_once)
        if self.tune not in (None, *TUNES):
            raise bad_value("tune", self.tune, " or ".join(map(repr, TUNES)))
        if self.minutes is not None and not (self.minutes > 0 and math.isfinite(self.minutes)):
            raise bad_value("budget", self.minutes, "minutes above 0")
        if self.extractor is not None and self.metric not in FIGURES:
            raise InputError(
                f"extractor: is for figures of sample quality; give --metric {', '.join(FIGURES)}, or leave it out"
            )
        names = [each.name for each in self.variants]
        if self.reference is not None and self.reference not in names:
            raise unknown_name("reference", self.reference, names)
        for request in (self.base, *(each.applied(self.base) for each in self.variants)):
            if request.view()["ensemble.members"] not in (None, 1):
                raise InputError(
                    "ensemble.members: a study's runs are single networks; compare an ensemble by evaluating it"
                )
        if self.minutes is not None:
            self._validate_lengths()

    def _validate_lengths(self) -> None:
        """Refuse lengths of runs beside a budget, from which the same length follows for all."""
        if any(self.base.get(path) for path in LENGTHS):
            raise InputError("budget: is for the whole study, but epochs or minutes of a run are given too; give one")
        for each in self.variants:
            if any(path in each.changes for path in LENGTHS):
                raise InputError(
                    f"budget: gives all runs one length, but variant {each.name!r} names its own; leave one out"
                )


def usual_jobs(base: Request) -> int:
    """Return how many runs are trained at the same time: one a processor core, one on a GPU."""
    return 1 if base.view()["train.device"] in ("cuda", "mps") else os.cpu_count() or 1


def validate_jobs(jobs: int) -> None:
    """Refuse a number of runs at the same time that is none."""
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise bad_value("jobs", jobs, "at least 1")
