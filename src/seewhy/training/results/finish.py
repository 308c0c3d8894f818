"""The end of a run: evaluate the best weights, write the figures, draw the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.files import naming, write_json
from seewhy.data import Part
from seewhy.training.assemble import Prepared, make_task
from seewhy.training.loop.job import Job
from seewhy.training.results.evaluation import Evaluation, evaluate, predict_part
from seewhy.training.results.folder import RunFolder
from seewhy.training.results.pictures import pixels_of, save_picture
from seewhy.training.results.zeros import zeros

MISTAKES = 24
"""Pictures of the most confident mistakes that are kept for the report."""


def finish(prepared: Prepared, job: Job, folder: Path) -> RunFolder:
    """Evaluate the best weights on validation and test data and write results.json and evaluation.json.

    The test part is looked at here, once, after every choice has been made.
    """
    run = RunFolder(folder)
    job.engine.barrier()
    job.model.load_state_dict(run.checkpoints.weights("best" if run.checkpoints.has("best") else "last"))
    parts = {"val": prepared.dataset.val, "test": prepared.dataset.test}
    task = make_task(prepared.spec)
    results: dict[str, Any] = {}
    for name, part in parts.items():
        if part is None or not len(part):
            continue
        probabilities = predict_part(job.engine, task, job.model, part)
        if not job.engine.is_main:
            continue
        found = evaluate(name, prepared.dataset.classes, probabilities, part.labels)
        results[name] = found.headline()
        keep(run, found, part, probabilities)
    if job.penalties is not None and job.penalties.l1:
        results["weights"] = zeros([job.model], prepared.spec.reg)
    if job.engine.is_main:
        write_json(folder / "results.json", results)
    job.engine.barrier()
    return run


def keep(run: RunFolder, evaluation: Evaluation, part: Part, probabilities: Tensor) -> None:
    """Write evaluation.json and the pictures of the most confident mistakes; the last part evaluated stays."""
    confidence, predicted = probabilities.max(dim=1)
    wrong = torch.nonzero(predicted != part.labels).flatten()
    wrong = wrong[confidence[wrong].argsort(descending=True, stable=True)][:MISTAKES]
    samples = run.folder / "samples"
    with naming(samples):
        shutil.rmtree(samples, ignore_errors=True)
        samples.mkdir(parents=True)
    rows = []
    for number, place in enumerate(wrong.tolist(), start=1):
        file = samples / f"mistake-{number:02d}.png"
        save_picture(pixels_of(part.images(torch.tensor([place]))[0]), file)
        rows.append(
            {
                "file": f"samples/{file.name}",
                "name": str(part.names[place]),
                "true": evaluation.classes[int(part.labels[place])],
                "predicted": evaluation.classes[int(predicted[place])],
                "confidence": float(confidence[place]),
            }
        )
    write_json(run.folder / "evaluation.json", {**evaluation.to_json(), "mistakes": rows})
