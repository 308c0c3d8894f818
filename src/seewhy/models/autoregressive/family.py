"""What needs torch of the family of autoregressive models; see `seewhy.models.family.Implementation`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from seewhy.core.seeding import rng
from seewhy.data import Dataset
from seewhy.models import generative
from seewhy.models.autoregressive import verbs
from seewhy.models.autoregressive.build import build_autoregressive
from seewhy.models.autoregressive.design import AutoregressiveDesign
from seewhy.models.autoregressive.graph import export
from seewhy.models.family import FamilyReport, Finished, Implementation, Objective, Trained
from seewhy.models.generative import FolderReader, SheetImages
from seewhy.models.intensity import IntensityLevels
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.autoregressive import MaskedSection
from seewhy.spec.generative import LikelihoodSection

COMPLETIONS = 3
"""How often each image of the sheet is completed."""


def build(spec: RunSpec, facts: DataFacts, _mean: Sequence[float], _std: Sequence[float]) -> nn.Module:
    """Build the network of a resolved specification with its first weights."""
    model = spec.model
    assert isinstance(model, LikelihoodSection)
    design = AutoregressiveDesign(
        levels=IntensityLevels(model.levels, model.binarise),
        width=model.width,
        depth=model.depth,
        kernel_size=model.kernel_size if isinstance(model, MaskedSection) else None,
    )
    return build_autoregressive(
        model.name,
        in_shape=facts.shape,
        rng=rng(spec.train.seed, "weights"),
        classes=facts.classes if model.conditional else None,
        design=design,
    )


def objective(spec: RunSpec, _facts: DataFacts, _mean: Sequence[float]) -> Objective:
    """Return the objective: the negative log-likelihood."""
    return generative.density_objective(spec)


def finish(trained: Trained, dataset: Dataset, folder: Path) -> Finished:
    """Measure the likelihood of validation and test images, and write sheets of samples and completions."""
    results, predictions = generative.likelihood_results(trained, dataset, verbs.estimator_of(trained.spec))
    if not trained.engine.is_main:
        return Finished(results=results, predictions=predictions)
    sheets = generative.write_sheets(_sheets(trained, dataset), folder)
    return Finished(results=results, record={"sheets": sheets}, predictions=predictions)


def _sheets(trained: Trained, dataset: Dataset) -> Iterator[SheetImages]:
    yield from generative.common_sheets(trained, dataset.train)
    yield _completions(trained, *generative.examples(trained, generative.held_out(dataset), generative.EXAMPLES))


def _completions(trained: Trained, images: Tensor, labels: Tensor | None) -> SheetImages:
    height, device = images.shape[-2], images.device
    given = verbs.upper_rows(height, height // 2).to(device)
    completed = [
        trained.model.complete(
            images, given, labels, rng=rng(trained.spec.train.seed, "complete", number, device=device)
        )
        for number in range(COMPLETIONS)
    ]
    caption = "Top: images that were not trained on. Below: their upper halves completed, three times."
    return SheetImages("completions", torch.cat([images, *completed]), len(images), caption)


def report(reader: FolderReader) -> FamilyReport:
    """Return the family's part of a run's report."""
    return generative.generative_report(reader)


IMPLEMENTATION = Implementation(
    build=build,
    objective=objective,
    announce=generative.announce_network,
    finish=finish,
    report=report,
    observe=generative.observe,
    verbs={
        "sample": generative.sample,
        "complete": verbs.complete,
        "evaluate": verbs.evaluate,
        "sample_quality": verbs.sample_quality,
        "export": export,
    },
)
