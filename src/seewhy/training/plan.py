"""What a run will do, in a few lines, before it does it."""

from __future__ import annotations

import os

from seewhy.core.launcher import launch
from seewhy.models.family import Objective, implementation_of
from seewhy.spec import RegSection, estimate_seconds
from seewhy.training.build import Prepared


def plan(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """Say in a few lines what the run will do, before it does it."""
    spec, dataset, facts, engine = prepared.spec, prepared.dataset, prepared.facts, prepared.engine
    train, optim, objective = spec.train, spec.optim, prepared.objective
    splits = {"train": facts.train_images, "validation": facts.val_images, "test": facts.test_images}
    shape = f"{facts.width} x {facts.height} px, {'grey' if facts.channels == 1 else 'colour'}"
    classes = f"{facts.classes} {'class' if facts.classes == 1 else 'classes'}"
    parameters = sum(parameter.numel() for parameter in prepared.model.parameters())
    threads = format_threads(train.threads)
    if train.threads and train.threads > (cores := os.cpu_count() or 1):
        threads += f", more than the {cores} processors there are: they will wait for one another"
    announced = implementation_of(spec).announce(spec)
    rate = "" if optim.closure else f", learning rate {optim.settings()['lr']:g} ({optim.schedule})"
    lines = [
        ("data", f"{dataset.name}: {sum(splits.values()):,} images in {classes}, {shape}"),
        ("split", ", ".join(f"{name} {count:,}" if count else f"no {name}" for name, count in splits.items())),
        *((name, f"{text}: {parameters:,} parameters" if name == "network" else text) for name, text in announced),
        *([("weights", prepared.weights)] if prepared.weights else []),
        ("augmentation", format_augmentation(objective)),
        *([("penalties", text)] if (text := _format_penalties(spec.reg)) else []),
        ("optimiser", f"{optim.name}{rate}, batch {train.batch_size:,}"),
        ("hardware", f"{train.device} x {engine.world}, {train.precision}, {threads}"),
    ]
    never = " (never, within this budget)"
    budget = format_epochs(train.epochs)
    if objective.initial_resolution not in (None, facts.side) and objective.initial_fraction:
        budget += f", the first {objective.initial_fraction:.0%} of the steps at {objective.initial_resolution} px"
    if objective.snapshots > 1:
        budget += f", in {objective.snapshots} cycles that leave a network each"
    if train.patience is not None:
        budget += f", stopped early after {train.patience} without gain" + never * (train.patience >= train.epochs)
    if prepared.images_per_second:
        seconds = estimate_seconds(spec, facts, prepared.images_per_second, train.epochs)
        budget += f", about {format_duration(seconds)} at {prepared.images_per_second:,.0f} images/s"
    note = launch().note
    return (*lines, ("budget", budget), *([("note", note)] if note else []))


def format_augmentation(objective: Objective) -> str:
    """Say what happens to training images."""
    augment = objective.augment
    parts = [f"crop with {augment.crop_padding} px border"] if augment.crop_padding else []
    parts += [f"{augment.flip} flips"] if augment.flip != "none" else []
    jitters = ("brightness", "contrast", "saturation", "hue")
    parts += [f"{name} {value:g}" for name in jitters if (value := getattr(augment, name))]
    if augment.resized_crop is not None:
        parts.append(f"resized crops from {augment.resized_crop.scale[0]:.0%} of the area")
    if augment.erase is not None:
        parts.append(str(augment.erase))
    parts += [f"{objective.mix.kind} {objective.mix.alpha:g}"] if objective.mix is not None else []
    return ", ".join(parts) or "none"


def _format_penalties(reg: RegSection) -> str:
    parts = [f"{name.upper()} {value:g}" for name in ("l1", "l2") if (value := getattr(reg, name))]
    parts += [f"norm of incoming weights at most {reg.max_norm:g}"] if reg.max_norm is not None else []
    return ", ".join(parts)


def format_epochs(epochs: float) -> str:
    """Word a number of epochs: "12 epochs", "1 epoch", "82.7 epochs", "0.035 epochs"."""
    return f"{round(epochs) if abs(epochs - round(epochs)) < 1e-9 else float(f'{epochs:.3g}'):,} epoch{'' if epochs == 1 else 's'}"


def format_threads(threads: int | None) -> str:
    """Word a number of threads: "1 thread"."""
    return f"{threads} thread{'' if threads == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Word a duration: "8 s", "3.5 min", "2.1 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
