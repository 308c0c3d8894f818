"""A study from Python: what is compared, how far it is, what it has shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seewhy.comparison.execute import Engine, work
from seewhy.comparison.folder import Design, StudyFolder
from seewhy.comparison.notebook import study_html
from seewhy.comparison.planning import plan_lines
from seewhy.comparison.progress import Progress
from seewhy.comparison.quality import trust_extractor
from seewhy.comparison.report import write_report
from seewhy.comparison.results import Outcome, read_outcome
from seewhy.comparison.verdict import Verdict
from seewhy.core.errors import InputError, RunError
from seewhy.runs.report import draw_or_warn
from seewhy.runs.run import Run
from seewhy.runs.stopping import Stop
from seewhy.spec.build import trust_request


class Study:
    """A study's folder: `Study("studies/activations")`, or what `seewhy.compare` returns.

    Args:
        folder: that `seewhy compare` made.

    Attributes:
        folder: of the study.

    Raises:
        InputError: it is no study, is of another format, or a file is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self._files = StudyFolder(folder)
        self.folder = self._files.folder

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self.design.variants)
        return f"seewhy.Study({str(self.folder)!r}: {names}; {len(self.design.seeds)} seeds)"

    def _repr_html_(self) -> str:
        return study_html(self.outcome())

    @classmethod
    def create(cls, folder: Path, design: Design) -> Study:
        """Make a study's folder, whole or not at all; raises InputError if something is there already."""
        return cls(StudyFolder.create(folder, design).folder)

    def extend(self, design: Design) -> None:
        """Write a design with more seeds or variants; those who are at work on the study take it up by themselves."""
        self._files.extend(design)

    def trust(self) -> None:
        """Let the factories of networks that the variants, or the extractor, name be imported."""
        for variant in self.design.variants:
            trust_request(variant.applied(self.design.base))
        if self.design.sampling is not None:
            trust_extractor(self.design.sampling.extractor)

    @property
    def design(self) -> Design:
        """What is compared."""
        return self._files.design

    def outcome(self) -> Outcome:
        """Read what the runs have reached so far: rows a run, figures a variant, verdict."""
        return read_outcome(self._files)

    def verdict(self) -> Verdict:
        """Return which variant is better and how sure that is; `print(study.verdict().sentence())`.

        Raises:
            RunError: there is no seed yet at which every variant has ended.
        """
        verdict = self.outcome().verdict
        if verdict is None:
            raise RunError(f"{self.folder}: there is no seed yet at which every variant has ended; go on with --resume")
        return verdict

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary a run: variant, seed, status, value, rate, seconds, findings, the run's folder."""
        return [row.flat() for row in self.outcome().rows]

    def frame(self) -> Any:
        """Return the rows as a pandas DataFrame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise InputError(
                "frame: needs pandas: pip install 'seewhy[frames]'; rows() and results.csv need nothing"
            ) from None
        return pandas.DataFrame(self.rows())

    def runs(self, variant: str) -> list[Run]:
        """Return a variant's judged runs that have ended; raises InputError with the nearest name if there is no such variant."""
        chosen = self._files.variant(variant)
        progress = Progress(self._files)
        cells = [cell for cell in self._files.cells() if cell.variant == chosen and progress.ended(cell) is not None]
        return [Run(job.folder) for cell in cells if (job := self._files.job(cell)).ended]

    def plan(self, *, at_once: int, design: Design | None = None) -> Iterator[tuple[str, str]]:
        """Yield what is to be run and what it costs, as (name, text); of the study as it would be extended to `design`."""
        progress = Progress(self._files)
        done = sum(progress.ended(cell) is not None for cell in self._files.cells())
        return plan_lines(design or self.design, at_once=at_once, done=done)

    def work(
        self,
        *,
        at_once: int,
        engine: Engine = "local",
        address: str | None = None,
        stop: Stop | None = None,
        told: Callable[[Progress], None] = lambda _: None,
    ) -> Outcome:
        """Train what has not ended, then write results.json, results.csv and report.html; see `comparison.execute.work`."""
        try:
            work(self._files, at_once=at_once, engine=engine, address=address, stop=stop, told=told)
        finally:
            self._files.changed()  # somebody else may have extended it
            outcome = self.outcome()
            outcome.save()
        draw_or_warn(lambda: write_report(outcome), self.folder)
        return outcome

    def report(self) -> Path:
        """Draw report.html anew and return its path."""
        return write_report(self.outcome())
