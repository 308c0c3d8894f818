"""From a run folder to its report: the records that the drawing needs, gathered from the folder's files."""

from __future__ import annotations

import datetime
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from seewhy.core.errors import InputError
from seewhy.core.files import write_text
from seewhy.core.findings import CheckOutcome, Finding
from seewhy.diagnosis.health import health_of_entries
from seewhy.diagnosis.history import Entry
from seewhy.models.family import implementation_of
from seewhy.reporting import ChoiceRow, Health, ReportRecord
from seewhy.reporting.model_card import ModelCard
from seewhy.runs.augmented import read_augmented
from seewhy.runs.explained import explained_section
from seewhy.runs.folder import read_findings
from seewhy.runs.near import read_near
from seewhy.runs.results import format_results
from seewhy.spec import Request, RunSpec, reasons_in
from seewhy.spec.initial import SPEC
from seewhy.training.plan import format_epochs

MODEL_CARD = "MODEL_CARD.md"

SPLITS = (("train", "for training"), ("val", "for validation"), ("test", "for testing"))


class RunFiles(Protocol):
    """What a report is made from."""

    folder: Path
    spec: RunSpec

    @property
    def request(self) -> Request:
        """What was asked for."""

    @property
    def results(self) -> dict[str, Any]:
        """The final figures by split; {} before the end."""

    @property
    def record(self) -> dict[str, Any]:
        """What the end of the run has kept; {} before the end."""

    @property
    def findings(self) -> list[Finding]:
        """What watching has found wrong."""

    @property
    def past(self) -> list[Finding]:
        """What watching had found wrong and has passed away."""

    @property
    def checks(self) -> list[CheckOutcome]:
        """How each check has ended; [] if the run was not watched."""

    @property
    def records(self) -> list[Entry]:
        """What the probes have measured."""

    @property
    def metrics(self) -> list[dict[str, float]]:
        """One dictionary an epoch."""

    @property
    def data(self) -> dict[str, Any]:
        """What the network knows of its data."""

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the folder, {} if it is not there."""


def require_docstrings() -> None:
    """Raise InputError if Python was started with -OO."""
    if sys.flags.optimize > 1:
        raise InputError(
            "altair, which draws the figures, needs docstrings, and python -OO drops them; use python or python -O"
        )


def write_report(run: RunFiles) -> Path:
    """Draw report.html from the folder's files, write MODEL_CARD.md beside it, and return the report's path."""
    require_docstrings()
    from seewhy.reporting import (
        render_model_card,
        render_report,
    )  # loads the figures' library, which nothing else of a run needs

    path, record = run.folder / "report.html", record_of(run)
    write_text(path, render_report(record))
    write_text(run.folder / MODEL_CARD, render_model_card(card_of(run, record)))
    return path


def card_of(run: RunFiles, record: ReportRecord) -> ModelCard:
    """Gather what the model card shows beside the report; paths of this machine are left out, for a card is for others."""
    facts, data, environment, spec = run.data["facts"], run.data, run.read_json("environment.json"), run.spec
    splits = ", ".join(f"{facts[f'{name}_images']:,} {word}" for name, word in SPLITS if facts[f"{name}_images"])
    colours = {1: "grey", 3: "colour"}[facts["channels"]]
    size = f"{facts['width']} x {facts['height']} pixels, {colours}; not square ones: {data['rule']['fit']}"
    training = [
        ("Specification", f"{SPEC}, which repeats the run: {record.command.partition(' --spec')[0]} --spec RUN")
    ]
    if run.metrics:
        last = run.metrics[-1]
        training.append(
            ("Budget", f"{format_epochs(last['epoch'])}, {last['step']:,.0f} steps, {_format_seconds(last['seconds'])}")
        )
    hardware = [str(environment[name]) for name in ("processor", "device", "precision") if environment.get(name)]
    training.append(("Machine", ", ".join(hardware)))
    versions = [f"{name} {environment[name]}" for name in ("python", "torch", "torchvision") if name in environment]
    training.append(("Versions", ", ".join(versions)))
    return ModelCard(
        report=record,
        model=spec.model.name,
        predicts="predict" in spec.model_record.verbs,
        dataset=data["name"],
        data=[("Name", data["name"]), ("Images", splits), ("Size", size), ("Fingerprint", str(data["fingerprint"]))],
        results=run.results,
        figures=format_results(run.results, spec),
        classes=data["classes"],
        training=training,
        version=str(environment.get("seewhy", "")),
    )


def draw_or_warn(draw: Callable[[], Path], folder: Path) -> None:
    """Draw a report; the results stand already, so one that cannot be drawn is a warning."""
    try:
        draw()
    except Exception as error:  # noqa: BLE001  the drawing library may fail in ways of its own: memory, fonts, a closed stream
        warnings.warn(
            f"the report could not be drawn ({type(error).__name__}: {error}); the results are whole, and "
            f"`seewhy report {folder}` draws it later",
            RuntimeWarning,
            stacklevel=4,
        )


def record_of(run: RunFiles) -> ReportRecord:
    """Gather what the report shows; parts that the run has not reached are left out and said."""
    family = implementation_of(run.spec).report(run)
    metrics, facts = run.metrics, run.data["facts"]
    ended = (run.folder / "results.json").is_file()
    notes = [] if ended else ["This run has not ended: there is no final evaluation yet."]
    last = next(path for name in ("metrics.csv", SPEC) if (path := run.folder / name).exists())
    written = datetime.datetime.fromtimestamp(last.stat().st_mtime).astimezone()
    evaluation = family.evaluation
    pairs, near_issues = read_near(run.folder)
    tiles = [("Training images", f"{facts['train_images']:,}"), ("Classes", f"{facts['classes']}")]
    if metrics:
        tiles.append(("Training time", _format_seconds(metrics[-1]["seconds"])))
        tiles.append(("Speed", f"{metrics[-1]['images_per_second']:,.0f} images/s"))
    return ReportRecord(
        title=title_of(run),
        run_name=run.folder.resolve().name,
        created=written.isoformat(timespec="seconds"),
        summary=[*family.summary, *tiles],
        command=f"seewhy train --spec {run.folder}",
        python=f'import seewhy\n\nrun = seewhy.Run("{run.folder}")\n{family.python}',
        metrics=metrics,
        sections=family.sections,
        explained=explained_section(run.folder, run.record),
        evaluation=evaluation,
        ensemble=run.read_json("ensemble.json").get(evaluation.split) if evaluation is not None else None,
        augmentation=read_augmented(run.folder),
        choices=choices_of(run.spec, run.request, (run.folder / SPEC).read_text(encoding="utf-8")),
        spec_toml=(run.folder / SPEC).read_text(encoding="utf-8"),
        environment=run.read_json("environment.json"),
        audit=[*run.data["audit"], *near_issues],
        near=pairs,
        notes=[*notes, *family.notes, *_findings_of_members(run.folder)],
        health=_health(run),
    )


def _findings_of_members(folder: Path) -> list[str]:
    """Return what watching has found in the members of an ensemble, which are runs of their own."""
    members = sorted(path for path in (folder / "members").glob("*") if path.is_dir())
    return [f"Member {member.name}: {finding}" for member in members for finding in read_findings(member).findings]


def _health(run: RunFiles) -> Health | None:
    """Return what watching has found and measured; None where the run was not watched."""
    if not run.checks:
        return None
    return health_of_entries(run.records, findings=run.findings, past=run.past, checks=run.checks)


def choices_of(spec: RunSpec, request: Request, toml: str) -> Sequence[ChoiceRow]:
    """Return every field with its origin: those asked for, and the others with why they were chosen, as spec.toml's comments say."""
    reasons, asked = reasons_in(toml, spec), request.asked()
    rows = []
    for path, value in spec.flat().items():
        name = path.removesuffix(".name") if path.count(".") == 2 else path
        rows.append(ChoiceRow(name, value, path in asked, "" if path in asked else reasons.get(path, "")))
    return rows


def title_of(run: RunFiles) -> str:
    """Return what a run is of, in a few words."""
    spec, name = run.spec, run.data["name"]
    members = spec.networks
    return f"{name}: ensemble of {members}" if members > 1 else f"{name}: {spec.model.name}"


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
