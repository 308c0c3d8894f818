"""From a run to one file that needs no seewhy."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError, unknown_name
from seewhy.core.files import new_file, write_atomic, write_text
from seewhy.data import Dataset
from seewhy.export.classifier import classifier_graph, classifier_record, confidence_thresholds, float_predictor
from seewhy.export.formats import Compute, Format, format_named, put_record, require, traced
from seewhy.export.parity import measure_parity, real_images, validate_parity
from seewhy.export.readme import readme
from seewhy.export.reduced import PRECISIONS, Precision, predicted, reduced
from seewhy.models.family import verb
from seewhy.models.graph import Graph
from seewhy.runs.exported import Exported
from seewhy.runs.run import Run
from seewhy.spec import answering
from seewhy.training.build import data_options
from seewhy.training.state import isolated

VERSION = 1
"""Of the record in a file's metadata."""


def export_run(
    run: Run, format: str = "onnx", out: str | Path | None = None, *, precision: Precision = "fp32"
) -> Exported:
    """Write a run's network as one file; see `seewhy.Run.export`."""
    form = format_named(format)
    _validate(run, form, precision)
    suffix = f".{precision}" * (precision != "fp32") + form.suffix
    file = new_file(run.folder / f"model{suffix}" if out is None else out, "out")
    page = new_file(file.with_name(f"{file.name}.README.md"), "out")
    if file.suffix != form.suffix:
        raise InputError(f"out: a file of format {form.name} ends in {form.suffix}, got {file.name}")
    with isolated():
        torch.set_float32_matmul_precision("highest")
        return _export(run, form, precision, file, page)


def _validate(run: Run, form: Format, precision: str) -> None:
    """Refuse what cannot be exported, before any work."""
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    name, able = run.spec.model.name, (*answering("predict"), *answering("export"))
    if name not in able:
        raise InputError(
            f"{run.folder}: is a run of {name}, whose network cannot be exported; those of {', '.join(able)} can"
        )
    if not run.ended:
        raise InputError(f"{run.folder}: has not ended; seewhy train --resume {run.folder}, then export it")
    if precision != "fp32" and form.name != "onnx":
        raise InputError(f"precision: {precision} is of ONNX files; leave it out, or take --format onnx")
    if precision != "fp32" and not _predicts(run):
        raise InputError(
            f"precision: {precision} is for classifiers, whose accuracy says what it costs, but {run.folder} is a {name}; leave it out"
        )


def _predicts(run: Run) -> bool:
    return run.spec.model.name in answering("predict")


def _export(run: Run, form: Format, precision: Precision, file: Path, page: Path) -> Exported:
    graph, samples, dataset = _graph(run, precision)
    record = _record(run, graph, precision)
    measured: list[tuple[Exported, Mapping[str, Any]]] = []

    def fill(temporary: Path) -> None:
        data = form.write(traced(graph), graph, record)
        compute = form.load(data, graph)
        parity = measure_parity(graph, compute, samples)
        validate_parity(parity)
        done, told = Exported(file, page, parity), record
        if precision != "fp32":
            assert dataset is not None
            data = reduced(data, precision, dataset.train)
            written = form.load(data, graph)
            done = replace(done, written=measure_parity(graph, written, samples))
            both, figures = _validated(compute, written, dataset)
            done, told = replace(done, accuracy=both), {**record, **figures}
            data = _with_record(data, told)
        temporary.write_bytes(data)
        measured.append((done, told))

    write_atomic(file, fill)
    ((done, told),) = measured
    write_text(page, readme(file.name, form.name, graph, told, done.lines()))
    return done


def _validated(before: Compute, after: Compute, dataset: Dataset) -> tuple[tuple[float, float] | None, dict[str, Any]]:
    """Return the accuracy on validation images before and after, and what a file of less precision says of itself: figures of its own."""
    if not len(dataset.val):
        return None, {"thresholds": {}, "accuracy": {}}
    (first, _), (second, labels) = predicted(before, dataset.val), predicted(after, dataset.val)
    was, became = (float((each.argmax(1) == labels).mean()) for each in (first, second))
    thresholds = confidence_thresholds(torch.from_numpy(second), torch.from_numpy(labels))
    return (was, became), {"thresholds": thresholds, "accuracy": {"val": became}}


def _graph(run: Run, precision: Precision) -> tuple[Graph, Sequence[Mapping[str, Tensor]], Dataset | None]:
    """Return a run's graph, inputs by which its parity is measured and, of a classifier, its data."""
    if _predicts(run):
        dataset = _dataset(run)
        if precision != "fp32" and dataset.fingerprint != run.data["fingerprint"]:
            raise InputError(
                f"precision: {precision} is calibrated and measured on the run's images, but those of {run.spec.source} have changed since "
                f"{run.folder} was started; put them back, or export in fp32"
            )
        split = dataset.val if len(dataset.val) else dataset.train
        return classifier_graph(run, float_predictor(run)), list(real_images(split)), dataset
    trained = run.trained
    model = copy.deepcopy(trained.model).cpu().float().requires_grad_(False)
    graph: Graph = verb(run.spec, "export", run.folder)(replace(trained, model=model))
    return graph, [graph.examples], None


def _dataset(run: Run) -> Dataset:
    options = data_options(dict(run.spec.data), run.rule.peaks)
    return seewhy_data.load_dataset(run.spec.source, **options, labels=run.spec.family.labels)


def _record(run: Run, graph: Graph, precision: Precision) -> dict[str, Any]:
    """Return what the file says of itself."""
    more = {"classes": list(run.classes)} if "labels" in graph.inputs else {}
    return {
        "seewhy": metadata.version("seewhy"),
        "torch": torch.__version__,
        "format_version": VERSION,
        "model": run.spec.model.name,
        "precision": precision,
        "shape": list(run.facts.shape),
        **(classifier_record(run) if _predicts(run) else more),
    }


def _with_record(data: bytes, record: Mapping[str, Any]) -> bytes:
    """Return an ONNX file with its record, which converters drop."""
    model = require("onnx").load_from_string(data)
    put_record(model, record)
    serialised: bytes = model.SerializeToString()
    return serialised
