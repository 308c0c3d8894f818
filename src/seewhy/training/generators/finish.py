"""The end of a generator's run: how likely it finds pictures it has not seen, what it draws, what it makes of given pictures.

generated.json      the figures, and the sheets below with their captions
generated/*.png     sheets: drawn pictures through training, at the end, and (where the generator can) completions, reconstructions, traversals
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.files import naming, write_json
from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.training.assemble import Prepared
from seewhy.training.generators.likelihood import SAMPLES, log_likelihoods, summarise
from seewhy.training.loop.job import Job
from seewhy.training.results.folder import RunFolder
from seewhy.training.results.pictures import pixels_of, save_picture
from seewhy.training.spec import RunSpec
from seewhy.training.spec.sections import AUTOREGRESSIVE, LATENT

FOLDER = "generated"
SHOWN = 64
"""Pictures of a sheet of samples."""

GIVEN = 8
"""Pictures that are completed or reconstructed."""


def finish(prepared: Prepared, job: Job, folder: Path) -> RunFolder:
    """Measure the best weights on validation and test data, draw the sheets, and write results.json and generated.json.

    The test part is looked at here, once, after every choice has been made.
    """
    run = RunFolder(folder)
    job.engine.barrier()
    model: Any = job.model
    model.load_state_dict(run.checkpoints.weights("best" if run.checkpoints.has("best") else "last"))
    model.eval()
    results: dict[str, Any] = {}
    spec, dataset = prepared.spec, prepared.dataset
    if spec.model.name != "gan":
        for name, part in {"val": dataset.val, "test": dataset.test}.items():
            if part is not None and len(part):
                found = log_likelihoods(
                    job.engine, model, part, conditional=spec.generator.conditional, samples=SAMPLES
                )
                results[name] = summarise(name, found, dimensions(prepared), **estimator(spec)).to_json()
    if job.engine.is_main:
        sheets = write_sheets(
            run, model, dataset.test if dataset.test is not None and len(dataset.test) else dataset.val
        )
        write_json(folder / "generated.json", {"results": results, "sheets": sheets})
        write_json(folder / "results.json", results)
    job.engine.barrier()
    return run


def dimensions(prepared: Prepared) -> int:
    """Return the values of a picture."""
    facts = prepared.facts
    return facts.channels * facts.height * facts.width


def estimator(spec: RunSpec, samples: int = SAMPLES) -> dict[str, Any]:
    """Return in words what the likelihood of a generator is, and of how many levels."""
    name = spec.model.name
    said = (
        "exact"
        if name in AUTOREGRESSIVE
        else "reconstruction alone: an autoencoder has no likelihood"
        if name == "autoencoder"
        else f"importance-weighted bound, k = {samples}"
    )
    return {"estimator": said, "levels": None if spec.generator.output == "gaussian" else spec.generator.levels}


def write_sheets(run: RunFolder, model: Any, part: Part) -> list[dict[str, str]]:
    """Draw the sheets that this generator can; return their files, names and captions."""
    home = run.folder / FOLDER
    with naming(home):
        home.mkdir(exist_ok=True)
    written = []
    from seewhy.reporting import grid

    with torch.no_grad():
        for name, images, columns, caption in _sheets(run, model, part):
            save_picture(grid(pixels_of(images), columns=columns), home / f"{name}.png")
            written.append({"file": f"{FOLDER}/{name}.png", "name": name, "caption": caption})
    return written


def _sheets(run: RunFolder, model: Any, part: Part) -> Iterator[tuple[str, Tensor, int, str]]:
    """Yield (name, pictures, columns, caption)."""
    spec, classes = run.spec, run.classes
    told = spec.generator.conditional
    count = len(classes) * max(1, SHOWN // len(classes)) if told and len(classes) <= SHOWN else SHOWN
    labels = torch.arange(count) % len(classes) if told else None
    columns = len(classes) if told and len(classes) <= 16 else math.ceil(math.sqrt(count))
    drawn = model.sample(count, labels, generator=generator(spec.train.seed, "samples"))
    yield (
        "samples",
        drawn,
        columns,
        "Drawn pictures" + (", a class a column." if told and columns == len(classes) else "."),
    )
    rows = torch.linspace(0, len(part) - 1, GIVEN).long()
    images, labels = part.images(rows), part.labels[rows] if told else None
    if spec.model.name in AUTOREGRESSIVE:
        given = torch.zeros(images.shape[-2:], dtype=torch.bool)
        given[: images.shape[-2] // 2] = True
        made = [
            model.complete(images, given, labels, generator=generator(spec.train.seed, "complete", place))
            for place in range(3)
        ]
        caption = "Top: pictures that were not trained on. Below: their upper halves completed, three times."
        yield "completions", torch.cat([images, *made]), GIVEN, caption
    if spec.model.name in LATENT:
        made = [model.reconstruct(images, labels, generator=generator(spec.train.seed, "reconstruct"))]
        yield (
            "reconstructions",
            torch.cat([images, *made]),
            GIVEN,
            "Top: pictures that were not trained on. Below: from their codes.",
        )
