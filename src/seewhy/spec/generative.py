"""What the families of generative models share: intensity levels, defaults, rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default, Defaults
from seewhy.spec.section import chosen
from seewhy.spec.sections import ModelSection
from seewhy.spec.view import View

BINARISED_SIDE = 32
"""Grey images of up to so many pixels a side are binarised, as the literature does with digits."""

READABLE_SIDE = 16
"""Binarised images have at least so many pixels a side."""


class GenerativeSection(ModelSection):
    """What all generative models take."""

    conditional: bool = Field(
        False, description="Class-conditional: model the images of each class, so that a class can be asked for."
    )
    width: int = chosen(ge=1, le=65536, description="Units of a layer, or features of a map.")
    depth: int = chosen(ge=1, le=200, description="Layers, or blocks.")


class LikelihoodSection(GenerativeSection):
    """What models with a likelihood of intensity levels take."""

    levels: int = chosen(
        ge=2,
        le=256,
        description="Intensity levels (default: 2, binarised, for grey images of 16 to 32 pixels, 16 for smaller ones, else 256).",
    )
    binarise: Literal["stochastic", "threshold"] = Field(
        "stochastic",
        description="How 2 levels are made: white with the pixel's intensity as probability, resampled each time, or from half on.",
    )


def plain(facts: DataFacts) -> bool:
    """Whether images are small and grey."""
    return facts.channels == 1 and facts.side <= BINARISED_SIDE


def default_levels(facts: DataFacts) -> Default:
    """Return the intensity levels of images."""
    if not plain(facts):
        return Default(256, "colour images" if facts.channels == 3 else f"images of {facts.side} px")
    # Binarised digits of 8 pixels a side could not be read.
    return Default(2 if facts.side >= READABLE_SIDE else 16, f"grey images of {facts.side} px")


def common_rules(view: View) -> Iterator[str]:
    """Yield what does not go together in any generative model."""
    levels = view["model.levels"]
    if view["model.binarise"] not in (None, "stochastic") and levels not in (None, 2):
        yield (
            f"model.binarise: {view['model.binarise']!r} makes 2 levels, but model.levels is {levels}; choose 2 or leave it out"
        )


def common_defaults(view: View, facts: DataFacts, *, rate: float, schedule: str) -> dict[str, Default]:
    """Return what is chosen for any generative model; `rate` and `schedule` are those of Adam."""
    optimizer = view["optim.name"] or "adam"
    batch = min(facts.train_images, max(16, min(100, facts.train_images // 20)))
    found: dict[str, Any] = {
        "reg.flip": Default("random" if facts.flip_invariant else "none"),
        "optim.name": Default(optimizer),
        "optim.schedule": Default(schedule),
        "optim.weight_decay": Default(0.0),
        "train.batch_size": Default(batch, f"{facts.train_images:,} training images"),
        "train.ema": Default(0.999),
    }
    if optimizer in ("adam", "adamw"):
        found["optim.lr"] = Default(rate)
    return found


def generative_epochs(facts: DataFacts) -> float:
    """Return the epochs if the machine is fast enough: 3 million images seen, at most 300 epochs."""
    return float(min(300, max(10, round(3_000_000 / facts.train_images))))


def merged(*defaults: Defaults) -> Defaults:
    """Return all defaults in one."""
    return {path: value for each in defaults for path, value in each.items()}
