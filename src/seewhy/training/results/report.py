"""From a run folder to its report: the records that the drawing needs, gathered from the folder's files."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seewhy.core.files import write_text
from seewhy.reporting import EvaluationRecord, GeneratedRecord, Mistake, ReportRecord, Sheet, render_report
from seewhy.training.results.augmented import read_augmented
from seewhy.training.results.folder import RunFolder
from seewhy.training.spec.sections import GENERATORS

PARTS = {"test": "Test", "val": "Validation"}


def write_report(run: RunFolder) -> Path:
    """Draw report.html from the folder's files and return its path."""
    path = run.folder / "report.html"
    write_text(path, render_report(record_of(run)))
    return path


def record_of(run: RunFolder) -> ReportRecord:
    """Gather what the report shows; parts that the run has not reached are left out and said."""
    evaluation = run.read_json("evaluation.json")
    results, metrics = run.results, run.metrics
    ended = (run.folder / "results.json").is_file()
    notes = [] if ended else ["This run has not ended: there is no final evaluation yet."]
    if ended and run.spec.model.name == "gan":
        notes.append(
            f"The losses of a game tell nothing of its pictures; to compare them with real ones: seewhy evaluate {run.folder}"
        )
    if "weights" in results:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in results["weights"]["layers"].items())
        notes.append(f"Weights at exactly zero, by layer: {shares}.")
    last = next(path for name in ("metrics.csv", "spec.toml") if (path := run.folder / name).exists())
    written = datetime.datetime.fromtimestamp(last.stat().st_mtime).astimezone()
    python = f'import seewhy\n\nrun = seewhy.Run("{run.folder}")\n'
    return ReportRecord(
        title=_title(run),
        run_name=run.folder.resolve().name,
        created=written.isoformat(timespec="seconds"),
        summary=_summary(run, results, metrics),
        command=f"seewhy train --spec {run.folder / 'spec.toml'}",
        python=python + ("run.sample(16)" if run.spec.model.name in GENERATORS else 'run.predict("picture.jpg")'),
        metrics=metrics,
        evaluation=_evaluation(run, evaluation) if evaluation else None,
        spec_toml=run.spec.to_toml(),
        environment=run.read_json("environment.json"),
        audit=run.data["audit"],
        ensemble=run.read_json("ensemble.json").get(evaluation.get("part", "")),
        augmentation=read_augmented(run),
        generated=_generated(run),
        notes=notes,
    )


def _generated(run: RunFolder) -> GeneratedRecord | None:
    """Gather what a generator has made so far; None for a recogniser, or before anything is made."""
    found = run.read_json("generated.json")
    frames = sorted((run.folder / "frames").glob("epoch-*.png"))
    if not found and not frames:
        return None
    sheets = [
        Sheet(sheet["name"], np.asarray(Image.open(run.folder / sheet["file"])), sheet["caption"])
        for sheet in found.get("sheets", ())
        if (run.folder / sheet["file"]).is_file()
    ]
    return GeneratedRecord(
        sheets=[Sheet(s.name, np.atleast_3d(s.image), s.caption) for s in sheets],
        frames=[_frame(path) for path in frames],
        figures=[*_likelihoods(run.results), *((label, value) for label, value in found.get("figures", ()))],
        kl=found.get("kl", ()),
    )


def _likelihoods(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Word how likely a generator finds the pictures of each part, and by what estimator."""
    said = []
    for part, label in PARTS.items():
        if part in results:
            found = results[part]
            low, high = found["interval"]
            nats = f"{found['nats']:.2f} nats an image [{low:.2f}, {high:.2f}], {found['bits_per_dimension']:.4f} bits a value"
            said.append((f"{label} part", f"-log p: {nats}, of {found['n']:,} images: {found['estimator']}"))
    return said


def _frame(path: Path) -> Sheet:
    epoch = int(path.stem.split("-")[1])
    return Sheet(f"epoch {epoch}", np.atleast_3d(np.asarray(Image.open(path))), f"The same noise after epoch {epoch}.")


def _title(run: RunFolder) -> str:
    if run.members:
        return f"{run.data['name']}: ensemble of {len(run.members)}"
    return f"{run.data['name']}: {run.spec.model.name}"


def _summary(run: RunFolder, results: dict[str, Any], metrics: list[dict[str, float]]) -> list[tuple[str, str]]:
    tiles = []
    for part, label in PARTS.items():
        if part in results:
            low, high = results[part]["interval"]
            if "nats" in results[part]:
                given = " given the code" if run.spec.model.name == "autoencoder" else ""
                tiles.append((f"{label} nats{given}", f"{results[part]['nats']:.2f} [{low:.2f}, {high:.2f}]"))
                continue
            tiles.append((f"{label} accuracy", f"{results[part]['accuracy']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"))
    if "weights" in results:
        tiles.append(("Weights at zero", f"{results['weights']['zeros']:.1%}"))
    facts = run.data["facts"]
    tiles.append(("Training images", f"{facts['train_images']:,}"))
    tiles.append(("Classes", f"{facts['classes']}"))
    if metrics:
        tiles.append(("Training time", _duration(metrics[-1]["seconds"])))
        tiles.append(("Speed", f"{metrics[-1]['images_per_second']:,.0f} images/s"))
    return tiles


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _evaluation(run: RunFolder, found: dict[str, Any]) -> EvaluationRecord:
    fields = {name: value for name, value in found.items() if name not in ("mistakes", "confusion", "interval")}
    mistakes = [
        Mistake(
            image=np.asarray(Image.open(run.folder / row["file"])),
            **{name: row[name] for name in ("true", "predicted", "confidence", "name")},
        )
        for row in found["mistakes"]
        if (run.folder / row["file"]).is_file()
    ]
    low, high = found["interval"]
    return EvaluationRecord(**fields, interval=(low, high), confusion=np.asarray(found["confusion"]), mistakes=mistakes)
