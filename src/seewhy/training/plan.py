"""What a run will do, in a few lines, before it does it."""

from __future__ import annotations

from seewhy import models
from seewhy.training.assemble import Prepared
from seewhy.training.spec import RegSpec, RunSpec
from seewhy.training.spec.defaults import estimate_seconds
from seewhy.training.spec.sections import GENERATORS


def plan(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """Say in a few lines what the run will do, before it does it."""
    spec, dataset, facts, engine = prepared.spec, prepared.dataset, prepared.facts, prepared.engine
    model, reg, choices, chosen = spec.model, spec.reg, spec.train, spec.optim
    parts = {"train": facts.train_images, "validation": facts.val_images, "test": facts.test_images}
    moved = [f"crop with {reg.crop_padding} px border"] if reg.crop_padding else []
    moved += [f"{reg.flip} flips"] if reg.flip != "none" else []
    moved += [
        f"{name} {value:g}" for name in ("brightness", "contrast", "saturation", "hue") if (value := getattr(reg, name))
    ]
    moved += [f"resized crops from {reg.resized_crop:.0%} of the area"] if reg.resized_crop is not None else []
    moved += [f"{name} {value:g}" for name in ("cutout", "erasing", "mixup", "cutmix") if (value := getattr(reg, name))]
    shape = f"{facts.width} x {facts.height} px, {'grey' if facts.channels == 1 else 'colour'}"
    stem = f", {model.stem} stem" if model.stem else ""
    inputs = ", pixels from 0 to 1" if model.inputs == "unit" else ""
    lines = [
        (
            "data",
            f"{dataset.name}: {sum(parts.values()):,} images in {facts.classes} {'class' if facts.classes == 1 else 'classes'}, {shape}",
        ),
        ("split", ", ".join(f"{name} {count:,}" if count else f"no {name}" for name, count in parts.items())),
        ("network", f"{_generator_in_words(spec)}: {models.count_parameters(prepared.model):,} parameters")
        if model.name in GENERATORS
        else (
            "network",
            f"{model.name}, {model.activation}, {model.norm} norm, width {model.width}, depth {model.depth}{stem}{inputs}: "
            f"{models.count_parameters(prepared.model):,} parameters",
        ),
        ("augmentation", ", ".join(moved) or "none"),
        *([("regularised", said)] if (said := _held_back_in_words(reg)) else []),
        ("optimiser", f"{chosen.name}, learning rate {chosen.lr:g} ({chosen.schedule}), batch {choices.batch_size:,}"),
        ("hardware", f"{choices.device} x {engine.world}, {choices.precision}, {choices.threads} threads"),
    ]
    budget = f"{choices.epochs:g} epoch{'' if choices.epochs == 1 else 's'}"
    if choices.early_resolution not in (None, facts.side) and choices.early_fraction:
        budget += f", the first {choices.early_fraction:.0%} of the steps at {choices.early_resolution} px"
    if choices.snapshots > 1:
        budget += f", in {choices.snapshots} cycles that leave a network each"
    if prepared.images_per_second:
        seconds = estimate_seconds(spec, facts, prepared.images_per_second, choices.epochs or 0)
        budget += f", about {in_words(seconds)} at {prepared.images_per_second:,.0f} images/s"
    return (*lines, ("budget", budget))


def _generator_in_words(spec: RunSpec) -> str:
    """Word what a generator models."""
    model, chosen = spec.model, spec.generator
    said = [
        model.name or "",
        *([f"{chosen.coder} coder"] if chosen.coder else []),
        f"width {model.width}, depth {model.depth}",
    ]
    said += [f"code {chosen.code}"] if chosen.code is not None else []
    if chosen.levels is not None:
        said += [f"{chosen.levels} levels" if chosen.levels > 2 else f"black and white ({chosen.binarise})"]
    said += [f"{name} {value}" for name in ("output", "loss") if (value := getattr(chosen, name))]
    said += ["told the class"] if chosen.conditional else []
    return ", ".join(said)


def _held_back_in_words(reg: RegSpec) -> str:
    said = [f"{name.upper()} {value:g}" for name in ("l1", "l2") if (value := getattr(reg, name))]
    said += [f"norm of incoming weights at most {reg.max_norm:g}"] if reg.max_norm is not None else []
    said += [f"dropout {reg.dropout:g}"] if reg.dropout else []
    said += [f"input dropout {reg.input_dropout:g}"] if reg.input_dropout else []
    said += [f"DropConnect {reg.dropconnect:g}"] if reg.dropconnect else []
    said += [f"stochastic depth down to {1 - reg.stochastic_depth:g}"] if reg.stochastic_depth else []
    return ", ".join(said)


def in_words(seconds: float) -> str:
    """Word a duration: "8 s", "3.5 min", "2.1 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
