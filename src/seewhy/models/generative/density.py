"""Maximum likelihood, or a bound of it, as an objective: minimise the mean over images of the loss that a model's forward pass gives in nats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from seewhy.core.seeding import derive, seed_global
from seewhy.data import Augment, Split
from seewhy.models.family import Engine, Inputs, Objective, StepResult, Update, chunks
from seewhy.models.generative.conditioning import is_conditional
from seewhy.spec import RegSection, RunSpec

CHUNK = 250
"""Images of a forward pass in evaluation; each chunk has a seed of its own, whichever process computes it."""


def _no_options(_inputs: Inputs) -> Mapping[str, Any]:
    return {}


def density_objective(
    spec: RunSpec,
    *,
    metrics: tuple[str, ...] = ("loss",),
    options: Callable[[Inputs], Mapping[str, Any]] = _no_options,
) -> Objective:
    """Return the objective of a model whose forward pass gives metrics of each image, (N) by name.

    Args:
        spec: resolved.
        metrics: their names; "loss" comes first and is minimised.
        options: keyword arguments of the forward pass.
    """
    conditional = is_conditional(spec)

    def forward(network: Callable[..., Any], inputs: Inputs) -> Any:
        return network(inputs.images, inputs.labels if conditional else None, **options(inputs))

    def criterion(outputs: Any, inputs: Inputs) -> StepResult:
        sums = {name: outputs[name].detach().float().sum() for name in metrics}
        return StepResult(outputs["loss"].mean(), sums, len(inputs))

    update = Update("model", forward, criterion)
    return Objective(
        metrics=metrics,
        updates=lambda _step: (update,),
        score=lambda row: [-row["val_loss"]],
        augment=augment_of(spec.reg),
        validate=partial(mean_metrics, update=update, metrics=metrics),
    )


def augment_of(reg: RegSection) -> Augment:
    """Return what happens to training images: what keeps their distribution."""
    return Augment(
        flip=reg.flip, brightness=reg.brightness, contrast=reg.contrast, saturation=reg.saturation, hue=reg.hue
    )


@torch.no_grad()
def mean_metrics(
    engine: Engine, model: nn.Module, split: Split, *, update: Update, metrics: tuple[str, ...]
) -> dict[str, float]:
    """Return the means of an update's metrics over a split, the same at every call and for any number of processes."""
    model.eval()
    sums = torch.zeros(len(metrics), dtype=torch.float64, device=engine.device)
    with torch.random.fork_rng(devices=[] if engine.device.type == "cpu" else None):
        for rows in chunks(len(split), CHUNK, engine):
            seed_global(derive(0, "validation", int(rows[0])), engine.device)
            images, labels = split.images(rows).to(engine.device), split.labels[rows].to(engine.device)
            inputs = Inputs(images, labels, labels, done=1.0)
            with engine.autocast():
                result = update.criterion(update.forward(model, inputs), inputs)
            sums += torch.stack([result.sums[name] for name in metrics]).double()
    means = engine.all_reduce_sum(sums) / len(split)
    return dict(zip(metrics, means.tolist(), strict=True))
