"""Trying a remedy: the original, the remedy and a random change of equal cost, each over seeds, as processes.

RUN-try-CODE/original/SEED.toml     what is asked of a run; SEED/ the run; SEED.log what it said
RUN-try-CODE/remedy-N/, random/     the same with the remedy's edit, with edits drawn at random
RUN-try-CODE/try.json               what came of it

The seeds follow the run's own, which is left out: a run that is diagnosed because it went badly would flatter every change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seewhy.core.errors import InputError, RunError, bad_value
from seewhy.core.files import naming
from seewhy.core.findings import Finding
from seewhy.runs.diagnose.control import changed_spec, edited, random_edit, settled
from seewhy.runs.diagnose.diagnosis import read_diagnosis
from seewhy.runs.diagnose.outcome import Outcome, Variant, measured
from seewhy.runs.folder import only_writer
from seewhy.runs.launch import Job, ask, launch
from seewhy.runs.run import Run
from seewhy.runs.stopping import Stop, stop_requests
from seewhy.spec import Metric, Request
from seewhy.training.plan import format_duration

ORIGINAL, RANDOM, ALL = "original", "random", "all"

START_SECONDS = 6.0
"""What a run takes beside its training: its process, the data, the final figures and the report."""


@dataclass(frozen=True)
class Trial:
    """What is to be run.

    Attributes:
        run: the original.
        finding: whose remedies are tried.
        metric: by which the variants are compared, on validation data.
        variants: the original first, the random change last.
        seeds: of the runs.
        at_once: processes at the same time.
        base: the request of which the variants are edits.
        left_out: remedies that do not fit the run, and why.
    """

    run: Run
    finding: Finding
    metric: Metric
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    at_once: int
    base: Request
    left_out: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the runs go."""
        own = self.run.folder.resolve()
        return own.with_name(f"{own.name}-try-{self.finding.code}")

    def job(self, variant: Variant, seed: int) -> Job:
        """Return the process of one run."""
        home = self.folder / variant.name
        return Job(home / f"{seed}.toml", home / str(seed), home / f"{seed}.log")

    def jobs(self) -> list[Job]:
        """Return all, seed by seed, so that what has ended can be compared when the rest is stopped."""
        return [self.job(variant, seed) for seed in self.seeds for variant in self.variants]

    def request(self, variant: Variant, seed: int) -> Request:
        """Return what is asked of one run."""
        return edited(self.base, variant.edits[seed]).with_changes({"train.seed": seed})

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the plan for people, as (name, text)."""
        waiting = sum(not job.ended for job in self.jobs())
        total = len(self.variants) * len(self.seeds)
        yield "finding", f"{self.finding.severity}: {self.finding.title}"
        for variant in self.variants[1:]:
            yield variant.name, f"{variant.shown}{f' ({variant.text})' if variant.text else ''}"
        for reason in self.left_out:
            yield "left out", reason
        yield "metric", f"{self.metric.name} of the validation images, paired by seed"
        seconds = waiting * _seconds(self.run) / min(self.at_once, max(1, waiting))
        runs = f"{total} runs: {len(self.variants)} variants x seeds {self.seeds[0]} to {self.seeds[-1]}"
        ended = f", of which {total - waiting} have ended" if waiting < total else ""
        yield "cost", f"{runs}, {self.at_once} at a time{ended}; about {format_duration(seconds)}"
        yield "folder", str(self.folder)


def plan_trial(
    run: Run, *, finding: str | None = None, remedy: int | str | None = None, seeds: int = 3, jobs: int | None = None
) -> Trial:
    """Plan what is run to try a remedy; nothing is written.

    Args:
        run: that was watched, and has ended or failed.
        finding: its code; None for the likeliest one with a remedy that has an edit.
        remedy: its number, "all", or None for the first with an edit that fits.
        seeds: how many.
        jobs: processes at the same time; None for one a processor core, one on a GPU.

    Raises:
        InputError: the run was not watched, has no such finding or remedy, no remedy has an edit that fits, or there is nothing to compare by.
    """
    if seeds < 1:
        raise bad_value("seeds", seeds, "at least 1")
    if jobs is not None and jobs < 1:
        raise bad_value("jobs", jobs, "at least 1")
    metric = run.spec.family.metric
    if metric is None or not run.facts.val_images:
        why = "has no validation images" if metric is not None else f"{run.spec.model.name} has no metric of validation"
        raise InputError(f"{run.folder}: {why}, so that a remedy's effect cannot be told; compare the samples yourself")
    found = read_diagnosis(run).findings
    base = _on_processors(settled(run), run, jobs)
    chosen, remedies, left_out = _remedies(run, base, found, finding, remedy)
    first = run.spec.train.seed + 1
    numbers = tuple(range(first, first + seeds))
    edits = [each.edit for each in chosen.remedies if each.edit is not None and _fits(run, base, each.edit) is None]
    drawn = {seed: random_edit(run, base, edits, seed) for seed in numbers}
    variants = (
        Variant(ORIGINAL, "", dict.fromkeys(numbers, "")),
        *(
            Variant(f"remedy-{number}", chosen.remedies[number - 1].text, dict.fromkeys(numbers, edit))
            for number, edit in remedies
        ),
        Variant(RANDOM, "", drawn),
    )
    at_once = min(jobs or _processors(run), len(variants) * seeds)
    return Trial(run, chosen, metric, variants, numbers, at_once, base, left_out)


def _remedies(
    run: Run, base: Request, found: Sequence[Finding], code: str | None, remedy: int | str | None
) -> tuple[Finding, list[tuple[int, str]], tuple[str, ...]]:
    """Return the finding, its remedies that are tried by number, and those that do not fit, with why."""
    named = [finding for finding in found if code in (None, finding.code)]
    if not named:
        codes = ", ".join(dict.fromkeys(finding.code for finding in found)) or "none"
        which = f"{code!r} was not found" if code is not None else "nothing was found that lasts"
        raise InputError(f"finding: {which} in {run.folder}; found: {codes}")
    reasons: list[str] = []
    for finding in named:
        fitting, left_out = list[tuple[int, str]](), list[str]()
        for number, each in enumerate(finding.remedies, start=1):
            if each.edit is None or remedy not in (None, ALL, number):
                continue
            wrong = _fits(run, base, each.edit)
            if wrong is None:
                fitting.append((number, each.edit))
            else:
                left_out.append(wrong)
        if fitting:
            return finding, fitting if remedy == ALL else fitting[:1], tuple(left_out)
        reasons += left_out
    which = "no remedy" if remedy in (None, ALL) else f"no remedy {remedy}"
    told = "; ".join(reasons) or "remedies without an edit are to be made by hand"
    raise InputError(f"remedy: {named[0].code} in {run.folder} has {which} with an edit that fits: {told}")


def _fits(run: Run, base: Request, edit: str) -> str | None:
    """Return why an edit does not fit a run, None if it does."""
    try:
        changed_spec(run, base, edit)
    except InputError as error:
        return str(error)
    return None


def _processors(run: Run) -> int:
    return 1 if run.spec.train.device in ("cuda", "mps") else os.cpu_count() or 1


def _seconds(run: Run) -> float:
    """Return what one run takes, by the original's own time; of one that failed before its first epoch ended, what it took until then."""
    rows, events = run.metrics, run.events
    trained = rows[-1]["seconds"] if rows else events[-1]["time"] - events[0]["time"] if events else 0.0
    return trained + START_SECONDS


def try_remedy(
    trial: Trial,
    *,
    told: Callable[[Job, str], None] = lambda _job, _how: None,
    stop: Stop | None = None,
) -> Outcome:
    """Train what has not ended yet, and compare.

    Args:
        trial: as planned.
        told: called with each run that ends, and how.
        stop: asked between looks; True lets the running ones save and ends.

    Raises:
        InputError: a run of the folder is of another plan, or another process is at it.
        RunError: a run was killed, or the disk cannot be written.
        KeyboardInterrupt: Ctrl-C; the runs have saved, and the same call goes on.
    """
    with naming(trial.folder):
        trial.folder.mkdir(exist_ok=True)
    with only_writer(trial.folder):
        for variant in trial.variants:
            for seed in trial.seeds:
                ask(trial.request(variant, seed), trial.job(variant, seed))
        jobs, failures = trial.jobs(), dict[Path, str]()

        def failed(job: Job, error: RunError) -> None:
            failures[job.folder] = str(error)
            told(job, str(error))

        with stop_requests(stop) as asked:
            launch(jobs, at_once=trial.at_once, stop=asked, ended=lambda job: told(job, "ended"), failed=failed)
            done = sum(job.ended or job.folder in failures for job in jobs)
            if asked() and done < len(jobs):
                message = f"stopped at run {done} of {len(jobs)}; the same command goes on"
                raise KeyboardInterrupt(message) if asked.signal is not None else RunError(message)
        folders = {
            variant.name: {seed: trial.job(variant, seed).folder for seed in trial.seeds} for variant in trial.variants
        }
        results = tuple(
            measured(variant, folders[variant.name], trial.metric, trial.finding.code, failures)
            for variant in trial.variants
        )
        outcome = Outcome(trial.run.folder, trial.finding, trial.metric, trial.seeds, results, trial.folder)
        outcome.save()
    return outcome


def _on_processors(base: Request, run: Run, jobs: int | None) -> Request:
    """Return a request whose threads share out the cores, unless a number was asked for."""
    if base.get("train.threads") is not None:
        return base
    return base.with_changes({"train.threads": max(1, (os.cpu_count() or 1) // (jobs or _processors(run)))})
