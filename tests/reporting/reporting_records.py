"""Records like those of a real run, made from a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seewhy.reporting.blocks import Chart, Figures, Frames, Paragraph, Section, Sheet, Table
from seewhy.reporting.records import (
    ChoiceRow,
    EvaluationRecord,
    Mistake,
    ReportRecord,
)


def metrics(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "train_loss": 2 / epoch,
            "train_accuracy": 1 - 0.5 / epoch,
            "val_loss": 2.2 / epoch,
            "val_accuracy": 1 - 0.6 / epoch,
            "lr": 0.1 / epoch,
            "images_per_second": 1234.5,
            "seconds": 1.5,
        }
        for epoch in range(1, epochs + 1)
    ]


def evaluation(
    K: int = 10,
    *,
    n: int = 400,
    classes: Sequence[str] | None = None,
    mistakes: int = 6,
    size: tuple[int, int, int] = (8, 8, 1),
    name: str = "test/one.png",
) -> EvaluationRecord:
    rng = np.random.default_rng(K)
    names = list(classes) if classes else [f"class {k}" for k in range(K)]
    true = np.arange(n) % K
    predicted = np.where(rng.random(n) < 0.8, true, rng.integers(0, K, n))
    confusion = np.zeros((K, K), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    for k in range(K):
        confusion[k, (k + 1) % K] += 1
    right = np.diag(confusion)
    recall, precision = right / confusion.sum(axis=1), right / np.maximum(1, confusion.sum(axis=0))
    per_class = [
        {
            "class": names[k],
            "n": int(confusion[k].sum()),
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(2 * precision[k] * recall[k] / (precision[k] + recall[k])) if right[k] else 0.0,
        }
        for k in range(K)
    ]
    calibration = [
        {"confidence": 0.35, "accuracy": 0.4, "n": 20, "lo": 0.22, "hi": 0.61},
        {"confidence": math.nan, "accuracy": math.nan, "n": 0, "lo": 0.0, "hi": 1.0},
        {"confidence": 0.9, "accuracy": 0.8, "n": 100, "lo": 0.71, "hi": 0.87},
    ]
    images = [
        Mistake(rng.integers(0, 256, size, dtype=np.uint8), names[0], names[1], 0.97 - 0.01 * i, name)
        for i in range(mistakes)
    ]
    total = int(confusion.sum())
    accuracy = float(right.sum() / total)
    interval = (accuracy - 0.02, accuracy + 0.02)
    top5 = 0.97 if K > 5 else None
    return EvaluationRecord(
        "test", names, total, accuracy, interval, top5, 0.42, 0.07, confusion, per_class, calibration, images
    )


def calibrated(K: int = 10, *, temperature: float = 1.83) -> EvaluationRecord:
    """An evaluation after temperature scaling: over-confident before it."""
    after, before = [], []
    for middle, n in ((0.35, 12), (0.55, 25), (0.65, 38), (0.75, 60), (0.85, 110), (0.95, 155)):
        for bins, confidence in ((after, middle + 0.01), (before, middle + 0.02)):
            accuracy = confidence if bins is after else confidence**2
            half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / n)
            lo, hi = max(0.0, accuracy - half), min(1.0, accuracy + half)
            bins.append({"confidence": confidence, "accuracy": accuracy, "n": n, "lo": lo, "hi": hi})
    uncalibrated = {"ece": 0.094, "log_loss": 0.61, "calibration": before}
    accuracy = sum(row["n"] * row["accuracy"] for row in after) / sum(row["n"] for row in after)
    interval = (accuracy - 0.02, accuracy + 0.02)
    scaled = {"calibration": after, "temperature": temperature, "uncalibrated": uncalibrated}
    return replace(evaluation(K), accuracy=accuracy, interval=interval, ece=0.013, **scaled)


def latent_section(title: str = "Generated images", *, name: str = "samples") -> Section:
    """What a family might bring: every kind of block."""

    def chart() -> object:
        from seewhy.reporting import latent_kl_chart

        return latent_kl_chart([3.1, 2.2, 1.4, 0.6, 0.2, 0.01, 0.001])

    rng = np.random.default_rng(0)

    def sheet(text: str) -> Sheet:
        return Sheet(name, rng.integers(0, 256, (71, 71, 1), dtype=np.uint8), text)

    return Section(
        title,
        [
            Paragraph("Samples of the prior, decoded."),
            Frames([sheet(f"The same latent vectors after epoch {epoch}.") for epoch in (1, 2, 5)]),
            sheet("One class per column."),
            Chart(chart, "KL of each latent dimension"),
            Table(["Split", "Nats per image", "Images"], [["validation", 93.81, 1000], ["test", None, 1000]], "Bound"),
            Table(["k"], [[k] for k in range(20)], "Long"),
            Figures([("Active dimensions", "5 of 7"), ("FID", "21.3")]),
        ],
    )


def choices(chosen: int = 30) -> list[ChoiceRow]:
    asked = [ChoiceRow("train.epochs", 20, True), ChoiceRow("model.name", "convnet", True)]
    reasons = {0: "as many as keep the device busy", 1: "above half of the images are symmetric"}
    others = [
        ChoiceRow(f"optim.field_{k}", None if k == 3 else k / 10, False, reasons.get(k, "")) for k in range(chosen)
    ]
    return [others[0], *asked, *others[1:]] if others else asked


def report(**changes: object) -> ReportRecord:
    values: dict[str, object] = {
        "title": "Classifier of digits",
        "run_name": "runs/digits-convnet",
        "created": "2026-01-14T10:15:30",
        "summary": [("Test accuracy", "98.6% [97.5, 99.3]"), ("Parameters", "212,746")],
        "command": "seewhy train --spec runs/digits-convnet/spec.toml",
        "python": 'import seewhy\n\nrun = seewhy.load("runs/digits-convnet")',
        "metrics": metrics(5),
        "evaluation": evaluation(),
        "spec_toml": 'source = "digits"\n',
        "environment": {"python": "3.11", "packages": {"numpy": "2.2"}, "devices": ["cpu:0", "cpu:1"], "commit": None},
        "audit": [{"kind": "duplicate", "severity": "warning", "message": "2 images occur twice", "paths": ["a", "b"]}],
    }
    return ReportRecord(**{**values, **changes})  # type: ignore[arg-type]
