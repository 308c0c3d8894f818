"""How far a study is: what has ended, what was decided by it, and which runs are open, all read from the folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from seewhy.comparison import tuning
from seewhy.comparison.design import Variant
from seewhy.comparison.folder import Cell, StudyFolder
from seewhy.comparison.quality import value_of
from seewhy.core.errors import InputError
from seewhy.runs.folder import read_data, read_json
from seewhy.spec import Metric, Request

ATTEMPTS = 2
"""Times that a run is tried before it counts as failed."""

SCREENING_SEEDS = 2
"""Runs of each variant by which the worse half is dropped."""

SURVIVORS = 2
"""Variants that are never dropped."""


@dataclass(frozen=True)
class Ended:
    """How a run has ended.

    Attributes:
        results: its figures by split; {} where it could not go on.
        reason: why it could not go on; "" for a run with results.
    """

    results: dict[str, Any]
    reason: str = ""


class Progress:
    """Reads a study's runs; what has ended is read once.

    Args:
        study: whose.
    """

    def __init__(self, study: StudyFolder) -> None:
        self.study = study
        self._ended: dict[Path, Ended] = {}

    def ended(self, cell: Cell) -> Ended | None:
        """Return how a run has ended, None while it is open.

        Raises:
            InputError: it was trained on other images than the study's, or a file is damaged.
        """
        job = self.study.job(cell)
        known = self._ended.get(job.folder)
        if known is not None:
            return known
        if job.ended and self._measured(cell):
            if read_data(job.folder).values["fingerprint"] != self.study.design.fingerprint_of(cell.variant):
                raise InputError(
                    f"{job.folder}: was trained on other images than the study: those of {self.study.design.base.source} have changed; "
                    "restore them and remove this run, or start a new study"
                )
            found = Ended(self._results(cell))
        else:
            if self.attempts(cell) < ATTEMPTS:
                return None
            found = Ended({}, str(self._failure(cell).get("reason") or "it said nothing"))
        self._ended[job.folder] = found
        return found

    def attempts(self, cell: Cell) -> int:
        """Return how often a run has failed; raises InputError if the file that says so is damaged."""
        attempts = self._failure(cell).get("attempts", 0)
        if not isinstance(attempts, int):
            raise InputError(f"{self.study.failure(cell)}: is damaged; remove it, and the run is tried again")
        return attempts

    def _failure(self, cell: Cell) -> dict[str, Any]:
        path = self.study.failure(cell)
        return read_json(path.parent, path.name)

    def _measured(self, cell: Cell) -> bool:
        """Whether the samples of a run have been judged, where they are to be."""
        return self.study.design.sampling is None or cell.kind != "runs" or self.study.quality(cell).is_file()

    def _results(self, cell: Cell) -> dict[str, Any]:
        """Return a run's results, with the figure of its samples among those of the split that is judged."""
        results, design = read_json(self.study.job(cell).folder, "results.json"), self.study.design
        if design.sampling is not None and cell.kind == "runs":
            quality = self.study.quality(cell)
            value = value_of(read_json(quality.parent, quality.name), design.metric.name)
            results[design.split] = {**results.get(design.split, {}), design.metric.name: value}
        return results

    def validation(self, cell: Cell) -> float | None:
        """Return an ended run's metric of validation, by which rates and survivors are chosen; None if it could not go on."""
        ended = self.ended(cell)
        assert ended is not None
        value = ended.results.get("val", {}).get(self._selection.name)
        return float(value) if value is not None and math.isfinite(value) else None

    def tuning_cells(self, variant: Variant) -> list[Cell]:
        """Return the runs by which a variant's rate is chosen; [] where it has none to tune."""
        design = self.study.design
        centre = design.rates.get(variant.name)
        if design.tune == "none" or centre is None:
            return []
        seed = tuning.SEED_OFFSET + design.seeds[0]
        return [Cell("tuning", variant, seed, rate) for rate in tuning.grid(centre)]

    def scores(self, variant: Variant) -> dict[float, float | None]:
        """Return the validation metric of a variant's tuning runs that have ended, by rate."""
        cells = [cell for cell in self.tuning_cells(variant) if self.ended(cell) is not None]
        return {cell.rate: self.validation(cell) for cell in cells if cell.rate is not None}

    def rate(self, variant: Variant) -> float | None:
        """Return the rate that was chosen for a variant; None where it keeps its own."""
        centre = self.study.design.rates.get(variant.name)
        if not self.tuning_cells(variant) or centre is None:
            return None
        return tuning.best_rate(self.scores(variant), centre, higher=self._selection.higher)

    @property
    def _selection(self) -> Metric:
        """The metric of validation by which rates and survivors are chosen, without which planning refuses both."""
        assert self.study.design.selection is not None
        return self.study.design.selection

    def tuned(self, variant: Variant) -> bool:
        """Whether a variant's rate stands."""
        return all(self.ended(cell) is not None for cell in self.tuning_cells(variant))

    def rounds(self) -> list[list[Cell]]:
        """Return the runs of each round of screening, as far as is known who takes part."""
        return self._screen()[1]

    def screening(self) -> tuple[tuple[Variant, ...], list[Cell]]:
        """Return the variants that go on, and the runs that are still to decide which do."""
        alive, rounds = self._screen()
        last = rounds[-1] if rounds else []
        return tuple(alive), [cell for cell in last if self.ended(cell) is None]

    def _screen(self) -> tuple[list[Variant], list[list[Cell]]]:
        design = self.study.design
        alive, rounds = list(design.variants), list[list[Cell]]()
        seed = tuning.SEED_OFFSET + design.seeds[0] + 1
        while design.halving and len(alive) > SURVIVORS:
            seeds = range(seed, seed + SCREENING_SEEDS)
            rounds.append([Cell("screening", variant, each) for each in seeds for variant in alive])
            if any(self.ended(cell) is None for cell in rounds[-1]):
                break
            better = self._better_half(alive, seeds)
            if len(better) == len(alive):
                break
            alive = better
            seed += SCREENING_SEEDS
        return alive, rounds

    def _better_half(self, alive: Sequence[Variant], seeds: range) -> list[Variant]:
        """Return the better half by mean validation metric, a failed run the worst; the reference always goes on."""
        design = self.study.design
        sign = 1.0 if self._selection.higher else -1.0

        def score(variant: Variant) -> float:
            values = [self.validation(Cell("screening", variant, seed)) for seed in seeds]
            return -math.inf if None in values else sign * fmean(value for value in values if value is not None)

        kept = sorted(alive, key=score, reverse=True)[: max(SURVIVORS, -(-len(alive) // 2))]
        return [each for each in alive if each in kept or each.name == design.reference]

    def request(self, cell: Cell) -> Request:
        """Return what is asked of one run; of a judged one its variant's rate must stand."""
        asked = cell.variant.applied(self.study.design.base)
        changes: dict[str, Any] = {"train.seed": cell.seed}
        if cell.kind == "tuning":
            changes["optim.lr"] = cell.rate
            epochs, minutes = asked.get("train.epochs"), asked.get("train.minutes")
            changes |= {"train.epochs": tuning.short(epochs)} if epochs else {"train.minutes": minutes * tuning.SHARE}
        elif (rate := self.rate(cell.variant)) is not None:
            changes["optim.lr"] = rate
        return asked.with_changes(changes)

    def waiting(self) -> list[Cell]:
        """Return the runs that can be trained now, in order."""
        design = self.study.design
        cells = [cell for variant in design.variants for cell in self.tuning_cells(variant)]
        found = [cell for cell in cells if self.ended(cell) is None]
        alive, screening = self.screening() if not found or not design.halving else ((), [])
        if design.halving and (found or screening):
            return found + [cell for cell in screening if self.tuned(cell.variant)]
        if not design.halving:
            alive = design.variants
        ready = {variant.name for variant in alive if self.tuned(variant)}
        return found + [cell for cell in self.study.cells() if cell.variant.name in ready and self.ended(cell) is None]

    def all_cells(self) -> list[Cell]:
        """Return every run that there is to train, as far as is known which: tuning, screening, judged."""
        alive, rounds = self._screen()
        tuning_runs = [cell for variant in self.study.design.variants for cell in self.tuning_cells(variant)]
        judged = [cell for cell in self.study.cells() if cell.variant in alive]
        return [*tuning_runs, *(cell for cells in rounds for cell in cells), *judged]

    @property
    def complete(self) -> bool:
        """Whether every run has ended."""
        return not self.waiting()
