"""From a specification to a generator and its task."""

from __future__ import annotations

from typing import Any

from seewhy import models
from seewhy.core.seeding import generator
from seewhy.training.generators.game import Game
from seewhy.training.generators.task import Density
from seewhy.training.spec import RunSpec
from seewhy.training.spec.defaults import Facts


def empty_generator(spec: RunSpec, facts: Facts) -> Any:
    """Build the generator of a resolved specification with its first weights, before it has seen data."""
    return models.build_generator(
        spec.model.name or "",
        in_shape=(facts.channels, facts.height, facts.width),
        classes=facts.classes if spec.generator.conditional else None,
        generator=generator(spec.train.seed, "weights"),
        design=design_of(spec),
    )


def design_of(spec: RunSpec) -> models.GeneratorDesign:
    """Return the generator's choices of a resolved specification; what concerns other generators keeps its usual value."""
    chosen = spec.generator
    given = {
        "width": spec.model.width,
        "depth": spec.model.depth,
        "activation": spec.model.activation,
        "binarise": chosen.binarise,
        "beta": chosen.beta,
        "free_bits": chosen.free_bits,
        "samples": chosen.samples,
        **{
            name: getattr(chosen, name)
            for name in ("levels", "kernel", "code", "coder", "output", "loss", "penalty", "turns")
        },
    }
    return models.GeneratorDesign(**{name: value for name, value in given.items() if value is not None})


def generator_task(spec: RunSpec) -> Density | Game:
    """Return the task of a generator."""
    return Game(spec.generator.conditional) if spec.model.name == "gan" else density(spec)


def density(spec: RunSpec) -> Density:
    """Return the task of a generator that learns by likelihood."""
    latent = spec.model.name == "vae"
    return Density(
        columns=("loss", "reconstruction", "kl") if latent else ("loss",),
        conditional=spec.generator.conditional,
        warmup=spec.generator.kl_warmup if latent else None,
    )
