"""How probable a model finds images: log p(x) in nats per image, exact or bounded, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seewhy.core.seeding import rng
from seewhy.data import Dataset, Split
from seewhy.metrics import LikelihoodMetrics, likelihood_metrics
from seewhy.models.family import Engine, Evaluated, Progress, Trained, chunks
from seewhy.models.generative.conditioning import is_conditional
from seewhy.models.generative.density import CHUNK


class Estimator(NamedTuple):
    """How a log-likelihood is computed.

    Attributes:
        name: "exact", or which bound.
        levels: intensity levels whose probabilities it is of; None where pixels have a density.
        samples: latents for each image, where a bound takes some.
    """

    name: str
    levels: int | None
    samples: int = 1


@torch.no_grad()
def log_likelihoods(
    engine: Engine,
    model: Any,
    split: Split,
    *,
    conditional: bool,
    samples: int = 1,
    progress: Progress | None = None,
) -> Tensor:
    """Return log p(x) in nats of every image of a split, float32 (N) on the CPU, in its order; equal calls give equal values.

    Every process computes its share; all get the whole. What is sampled (binarised pixels, latents) depends on the image's position alone.

    Args:
        engine: where it is computed.
        model: has `log_likelihood(images, labels, samples=, rng=)`.
        split: the images.
        conditional: whether the model is class-conditional.
        samples: latents for each image, where a bound takes some.
        progress: called with the number of images done.
    """
    model.eval()
    values = torch.zeros(len(split), dtype=torch.float64, device=engine.device)
    for rows in chunks(len(split), CHUNK, engine):
        images = split.images(rows).to(engine.device)
        labels = split.labels[rows].to(engine.device) if conditional else None
        with engine.autocast():
            noise = rng(0, "likelihood", int(rows[0]), device=engine.device)
            values[rows] = model.log_likelihood(images, labels, samples=samples, rng=noise).double()
        if progress is not None:
            progress(int(rows[-1]) + 1)
    return engine.all_reduce_sum(values).float().cpu()


def evaluate_likelihood(
    trained: Trained, split: Split, name: str, estimator: Estimator, progress: Progress | None = None
) -> Evaluated:
    """Measure the likelihood of a split's images.

    Args:
        trained: a model with a likelihood.
        split: images of the run's size; labels are the run's.
        name: "val" or "test".
        estimator: how it is computed.
        progress: called with the number of images done.
    """
    values = log_likelihoods(
        trained.engine,
        trained.model,
        split,
        conditional=is_conditional(trained.spec),
        samples=estimator.samples,
        progress=progress,
    )
    channels, height, width = trained.facts.shape
    figures = likelihood_metrics(
        name, values, channels * height * width, estimator=estimator.name, levels=estimator.levels
    )
    return Evaluated(
        split=name, figures=figures, lines=format_likelihood(figures), arrays={"log_likelihood": values.numpy()}
    )


def format_likelihood(figures: LikelihoodMetrics) -> list[str]:
    """Return the figures as lines for people."""
    low, high = figures.interval
    return [
        f"{figures.split}: {figures.n:,} images; {figures.estimator}",
        f"-log p(x)          {figures.nats:.2f} nats per image  [{low:.2f}, {high:.2f}]",
        f"per dimension      {figures.bits_per_dimension:.4f} bits",
    ]


def likelihood_results(
    trained: Trained, dataset: Dataset, estimator: Estimator
) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Return the figures of the validation and test images as JSON values and the arrays by image, both by split; without empty splits."""
    splits = {"val": dataset.val, "test": dataset.test}
    evaluated = [
        evaluate_likelihood(trained, split, name, estimator)
        for name, split in splits.items()
        if split is not None and len(split)
    ]
    return {each.split: each.figures.to_json() for each in evaluated}, {each.split: each.arrays for each in evaluated}
