"""The family of classifiers: what training, runs and reports ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.core.files import is_inside
from seewhy.core.seeding import rng
from seewhy.data import Dataset, Split
from seewhy.metrics import (
    ClassificationMetrics,
    apply_temperature,
    classification_metrics,
    fit_temperature,
    weight_sparsity,
)
from seewhy.models.choices import Choice
from seewhy.models.classifiers.build import build_classifier
from seewhy.models.classifiers.classifier import Classifier, prepare_classifier
from seewhy.models.classifiers.design import ClassifierDesign, Regularisers
from seewhy.models.classifiers.mistakes import write_mistakes
from seewhy.models.classifiers.objective import objective, sections, split_probabilities
from seewhy.models.family import Evaluated, FamilyReport, Finished, Implementation, Trained
from seewhy.models.predictor import Predictor
from seewhy.nn import penalised_weights
from seewhy.reporting import EvaluationRecord, Mistake
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.classifiers import ClassifierSection, ConvNet, ResNet

SPLIT_NAMES = {"test": "Test", "val": "Validation"}


def design_of(spec: RunSpec) -> ClassifierDesign:
    """Return the network's choices of a specification."""
    model: Any = spec.model
    assert isinstance(model, ClassifierSection)
    reg, _ = sections(spec)

    def choice(section: Any) -> Choice:
        return Choice(section.name, section.options())

    return ClassifierDesign(
        activation=choice(model.activation),
        init=choice(model.init),  # type: ignore[attr-defined]
        norm=choice(model.norm),  # type: ignore[attr-defined]
        pool=choice(model.pool) if isinstance(model, ConvNet) else "max",
        width=model.width,  # type: ignore[attr-defined]
        depth=model.depth,  # type: ignore[attr-defined]
        stem=model.stem if isinstance(model, (ConvNet, ResNet)) else None,
        regularisers=Regularisers(
            dropout=reg.dropout,
            input_dropout=reg.input_dropout,
            dropout_kind=reg.dropout_kind,
            dropconnect=reg.dropconnect,
            dropconnect_shared=reg.dropconnect_shared,
            stochastic_depth=model.stochastic_depth if isinstance(model, ResNet) else 0.0,
        ),
    )


def build(spec: RunSpec, facts: DataFacts, mean: Sequence[float], std: Sequence[float]) -> Classifier:
    """Build the network of a specification, before it has seen data."""
    assert isinstance(spec.model, ClassifierSection)
    net = build_classifier(
        spec.model.name,
        in_shape=facts.shape,
        classes=facts.classes,
        rng=rng(spec.train.seed, "weights"),
        design=design_of(spec),
    )
    if spec.model.inputs == "unit":
        mean, std = (0.0,) * facts.channels, (1.0,) * facts.channels
    return Classifier(net, mean, std)


def prepare(network: nn.Module, images: Tensor, spec: RunSpec) -> None:
    """Compute the weights that depend on data."""
    assert isinstance(network, Classifier)
    prepare_classifier(network, images, design_of(spec))


def announce(spec: RunSpec) -> list[tuple[str, str]]:
    """Describe network and regularisation in the plan."""
    model: Any = spec.model
    reg, _ = sections(spec)
    stem = f", {model.stem} stem" if isinstance(model, (ConvNet, ResNet)) else ""
    inputs = ", pixels from 0 to 1" if model.inputs == "unit" else ""
    norm = "no norm" if model.norm.name == "none" else f"{model.norm.name} norm"
    network = f"{model.name}, {model.activation.name}, {norm}, width {model.width}, depth {model.depth}{stem}{inputs}"
    said = [f"dropout {reg.dropout:g}"] if reg.dropout else []
    said += [f"input dropout {reg.input_dropout:g}"] if reg.input_dropout else []
    said += [f"DropConnect {reg.dropconnect:g}"] if reg.dropconnect else []
    depth = model.stochastic_depth if isinstance(model, ResNet) else 0.0
    said += [f"stochastic depth down to {1 - depth:g}"] if depth else []
    return [("network", network), *([("regularised", ", ".join(said))] if said else [])]


def predictor_of(trained: Trained) -> Predictor:
    """Return what predicts: the network with its views and its temperature."""
    _, train = sections(trained.spec)
    temperature = float(trained.record.get("temperature", 1.0))
    predictor = Predictor([trained.model], shape=trained.facts.shape, views=train.tta, temperature=temperature)
    return predictor.to(trained.engine.device)


def finish(trained: Trained, dataset: Dataset, folder: Path) -> Finished:
    """Measure the trained network on validation and test data, calibrated on the validation split.

    The test split is looked at here, once, after every choice has been made.
    """
    predictor = predictor_of(trained)
    splits = {name: split for name, split in dataset.splits.items() if name != "train" and len(split)}
    raw = {name: split_probabilities(trained.engine, predictor, split) for name, split in splits.items()}
    return calibrated(raw, splits, dataset.classes, folder if trained.engine.is_main else None, _weights(trained))


def _weights(trained: Trained) -> dict[str, Any]:
    reg, _ = sections(trained.spec)
    if not reg.l1:
        return {}
    return {"weights": weight_sparsity([penalised_weights(trained.model, everything=reg.penalise_all)])}


def calibrated(
    raw: Mapping[str, Tensor],
    splits: Mapping[str, Split],
    classes: Sequence[str],
    folder: Path | None,
    more: Mapping[str, Any],
) -> Finished:
    """Return the figures of uncalibrated probabilities after temperature scaling on the validation split.

    Args:
        raw: probabilities (N, K) by split.
        splits: the images, by split.
        classes: names.
        folder: where the most confident mistakes of the last split go; None writes nothing.
        more: results beside those of the splits.
    """
    temperature = fit_temperature(raw["val"], splits["val"].labels) if "val" in raw else 1.0
    results: dict[str, Any] = {}
    record: dict[str, Any] = {"temperature": temperature, "uncalibrated": {}}
    predictions = {}
    for name, split in splits.items():
        before = classification_metrics(name, classes, raw[name], split.labels)
        probabilities = apply_temperature(raw[name], temperature)
        metrics = classification_metrics(name, classes, probabilities, split.labels)
        results[name] = metrics.headline()
        fields = ("ece", "log_loss", "calibration")
        record["uncalibrated"][name] = {field: getattr(before, field) for field in fields}
        record["evaluation"] = metrics.to_json()
        predictions[name] = {"probabilities": probabilities.numpy(), "labels": split.labels.numpy()}
    if splits and folder is not None:
        last = list(splits)[-1]
        record["mistakes"] = write_mistakes(
            folder, classes, splits[last], torch.from_numpy(predictions[last]["probabilities"])
        )
    return Finished(results={**results, **more}, record=record, predictions=predictions)


def evaluate(
    trained: Trained,
    split: Split,
    name: str,
    classes: Sequence[str],
    *,
    samples: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluated:
    """Measure a trained classifier on a split whose labels are the run's.

    Raises:
        InputError: samples are asked for, which bound the likelihood of a vae.
    """
    if samples is not None:
        raise InputError(
            f"samples: bound the likelihood of a vae, but {trained.folder} is a {trained.spec.model.name}; leave them out"
        )
    probabilities = split_probabilities(trained.engine, predictor_of(trained), split, progress)
    metrics = classification_metrics(name, classes, probabilities, split.labels)
    arrays = {"probabilities": probabilities.numpy(), "labels": split.labels.numpy()}
    return Evaluated(split=name, figures=metrics, lines=format_metrics(metrics), arrays=arrays)


def format_metrics(metrics: ClassificationMetrics) -> list[str]:
    """Return the figures of a split as lines for people."""
    low, high = metrics.interval
    lines = [
        f"{metrics.split}: {metrics.n:,} images, {len(metrics.classes)} classes",
        f"accuracy           {metrics.accuracy:.2%}  [{low:.2%}, {high:.2%}]",
        f"balanced accuracy  {metrics.balanced_accuracy:.2%}",
        f"macro F1           {metrics.macro_f1:.2%}",
    ]
    lines += [f"top-5 accuracy     {metrics.top5:.2%}"] if metrics.top5 is not None else []
    lines += [f"log-loss           {metrics.log_loss:.4f} nats", f"calibration error  {metrics.ece:.4f}"]
    width = max(len("class"), *(min(len(row["class"]), 30) for row in metrics.per_class))
    table = [f"{'class':<{width}}  {'images':>7}  {'precision':>9}  {'recall':>7}  {'F1':>7}"]
    for row in metrics.per_class:
        figures = "  ".join(_percent(row[name], size) for name, size in (("precision", 9), ("recall", 7), ("f1", 7)))
        table.append(f"{row['class'][:30]:<{width}}  {row['n']:>7,}  {figures}")
    return [*lines, "", *table]


def _percent(value: float | None, size: int) -> str:
    return f"{'-' if value is None else f'{value:.1%}':>{size}}"


def report(reader: Any) -> FamilyReport:
    """Return a classifier's part of the report."""
    results, record = reader.results, reader.record
    summary, notes = [], []
    for split, label in SPLIT_NAMES.items():
        if split in results:
            low, high = results[split]["interval"]
            accuracy = results[split]["accuracy"]
            summary.append((f"{label} accuracy", f"{accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]"))
            balanced = results[split].get("balanced_accuracy")  # runs of earlier versions have none
            if balanced is not None and f"{balanced:.1%}" != f"{accuracy:.1%}":
                summary.append((f"{label} balanced accuracy", f"{balanced:.1%}"))
    if "val" in results:
        unbiased = "the test accuracy is not." if "test" in results else "hold out test images for one that is not."
        notes.append(
            f"The best epoch was chosen on the validation images, so the validation accuracy is on the high side; {unbiased}"
        )
    if "weights" in results:
        summary.append(("Weights at zero", f"{results['weights']['sparsity']:.1%}"))
        shares = ", ".join(f"{name} {share:.1%}" for name, share in results["weights"]["layers"].items())
        notes.append(f"Weights at exactly zero, by layer: {shares}.")
    evaluation = _evaluation(reader.folder, record) if "evaluation" in record else None
    return FamilyReport(summary=summary, python='run.predict("image.jpg")', notes=notes, evaluation=evaluation)


def _evaluation(folder: Path, record: Mapping[str, Any]) -> EvaluationRecord:
    figures = {**record["evaluation"]}
    figures.pop("ensemble", None)
    split = figures["split"]
    low, high = figures.pop("interval")
    mistakes = [
        Mistake(
            image=np.asarray(Image.open(folder / row["file"])),
            **{name: row[name] for name in ("true", "predicted", "confidence", "name")},
        )
        for row in record.get("mistakes", ())
        if is_inside(folder, row["file"])
    ]
    return EvaluationRecord(
        **{**figures, "confusion": np.asarray(figures["confusion"])},
        interval=(low, high),
        mistakes=mistakes,
        temperature=record.get("temperature", 1.0),
        uncalibrated=record.get("uncalibrated", {}).get(split),
    )


IMPLEMENTATION = Implementation(
    build=build,
    prepare=prepare,
    objective=objective,
    announce=announce,
    finish=finish,
    report=report,
    verbs={"predict": predictor_of, "evaluate": evaluate, "explain": lambda trained: trained.model},
)
