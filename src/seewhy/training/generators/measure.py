"""Measuring a generator that was trained before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from seewhy.core.errors import InputError, bad_value
from seewhy.data import Part
from seewhy.training.generators.likelihood import SAMPLES, Likelihood, estimator, log_likelihoods, summarise
from seewhy.training.results.folder import RunFolder


def measure_likelihood(
    run: RunFolder,
    name: str,
    part: Part,
    classes: Sequence[str],
    *,
    where: str,
    samples: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Likelihood:
    """Return how likely a run's generator finds the pictures of a part.

    Args:
        run: of a generator with a likelihood.
        name: of the part.
        part: pictures of the run's size.
        classes: what the part's labels mean; matters to a generator that is told the class.
        where: the source of the part, for messages.
        samples: codes for each picture, of a VAE; None for the usual number.
        progress: told the pictures done.

    Raises:
        InputError: the generator has no likelihood, or is told classes that it does not know.
    """
    spec = run.spec
    if spec.model.name == "gan":
        raise InputError(
            f"{run.folder}: is a gan, which has no likelihood; look at its report, or draw pictures and compare them"
        )
    if samples is not None and spec.model.name != "vae":
        raise InputError(
            f"samples: bound the likelihood of a vae, but {run.folder} is a {spec.model.name}; leave them out"
        )
    if samples is not None and samples < 1:
        raise bad_value("samples", samples, "at least 1")
    conditional = spec.generator.conditional
    if conditional:
        part = replace(part, labels=run.relabel(part.labels, classes, where))
    count = samples or SAMPLES
    found = log_likelihoods(run.engine, run.model, part, conditional=conditional, samples=count, progress=progress)
    facts = run.data["facts"]
    return summarise(name, found, facts["channels"] * facts["height"] * facts["width"], **estimator(spec, count))
