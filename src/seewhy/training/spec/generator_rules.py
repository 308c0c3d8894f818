"""What does not go together in the specification of a generator: each rule yields a message for what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from seewhy.training.spec.sections import (
    AUTOREGRESSIVE,
    GENERATORS,
    LATENT,
    SECOND_ORDER,
    EnsembleSpec,
    GeneratorSpec,
    ModelSpec,
    OptimSpec,
    RegSpec,
    TrainSpec,
)

WHOSE: dict[str, tuple[str, ...]] = {
    "levels": (*AUTOREGRESSIVE, *LATENT),
    "binarise": (*AUTOREGRESSIVE, *LATENT),
    "kernel": ("pixelcnn", "gated_pixelcnn"),
    "code": (*LATENT, "gan"),
    "coder": (*LATENT, "gan"),
    "output": LATENT,
    "beta": ("vae",),
    "free_bits": ("vae",),
    "kl_warmup": ("vae",),
    "samples": ("vae",),
    "loss": ("gan",),
    "penalty": ("gan",),
    "turns": ("gan",),
}
"""The generators that each field is for; the others are for all."""

RECOGNISERS_ONLY = {
    "model": ("pieces", "keep_parameters", "shared", "init", "init_std", "norm", "norm_init", "stem", "pool", "inputs"),
    "reg": (
        "label_smoothing",
        "dropout",
        "input_dropout",
        "dropconnect",
        "stochastic_depth",
        "crop_padding",
        "resized_crop",
        "cutout",
        "erasing",
        "mixup",
        "cutmix",
    ),
    "train": ("early_resolution", "tta", "snapshots"),
    "ensemble": ("members",),
}
"""Fields that a generator has no use for, or that would teach it pictures that are not the user's."""


def broken_generator_rules(
    model: ModelSpec,
    generator: GeneratorSpec,
    reg: RegSpec,
    optim: OptimSpec,
    train: TrainSpec,
    ensemble: EnsembleSpec,
) -> Iterator[str]:
    """Yield what is wrong between a generator and the rest, nothing if all is well."""
    usual, name = GeneratorSpec(), model.name
    given = [field for field in GeneratorSpec.model_fields if getattr(generator, field) != getattr(usual, field)]
    if name not in GENERATORS:
        for field in given:
            yield (
                f"generator.{field}: is for generators, but model.name is {name or 'left to the defaults'}; "
                f"choose one of {', '.join(GENERATORS)}, or leave it out"
            )
        return
    for field in given:
        if name not in WHOSE.get(field, GENERATORS):
            yield f"generator.{field}: is for {', '.join(WHOSE[field])}, but model.name is {name!r}; leave it out"
    for section, came in (("model", model), ("reg", reg), ("train", train), ("ensemble", ensemble)):
        for field in RECOGNISERS_ONLY[section]:
            value = getattr(came, field)
            if value not in (None, 0, type(came).model_fields[field].default):
                yield f"{section}.{field}: is for recognisers, but model.name is {name!r}, got {value!r}; leave it out"
    if model.activation is not None and name not in LATENT:
        yield f"model.activation: {name} has its own, got {model.activation!r}; leave it out, or choose one of {', '.join(LATENT)}"
    if optim.name in SECOND_ORDER:
        yield f"optim.name: {optim.name} is for recognisers, but model.name is {name!r}; choose a first-order optimiser"
    if generator.binarise != "stochastic" and generator.levels not in (None, 2):
        yield f"generator.binarise: {generator.binarise!r} makes 2 levels, but generator.levels is {generator.levels}; choose 2 or leave it out"
    if generator.kernel is not None and generator.kernel % 2 == 0:
        yield f"generator.kernel: must be odd, so that it has a centre, got {generator.kernel}"
    if generator.output == "bernoulli" and generator.levels not in (None, 2):
        yield f"generator.output: 'bernoulli' has 2 levels, but generator.levels is {generator.levels}; choose 2, a gaussian or logistic"
    if generator.free_bits and generator.samples > 1:
        yield (
            f"generator.free_bits: the importance-weighted bound of {generator.samples} samples has no KL term to leave free, "
            f"got {generator.free_bits}; set it to 0, or generator.samples to 1"
        )
    if name == "gan" and train.patience is not None:
        yield f"train.patience: a gan has no validation loss that could stop rising, got {train.patience}; leave it out"
    if generator.penalty and generator.loss not in (None, "wasserstein"):
        yield f"generator.penalty: belongs to wasserstein, but generator.loss is {generator.loss!r}; choose it or leave the penalty out"
