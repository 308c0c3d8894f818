"""What the run of a generator does where its user said nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seewhy.training.spec.sections import AUTOREGRESSIVE, LATENT

if TYPE_CHECKING:
    from seewhy.training.spec import RunSpec
    from seewhy.training.spec.defaults import Facts

SMALL = 32
"""Grey pictures of up to so many pixels a side are taken as black and white, as the literature does with digits, and coded by dense layers."""

READABLE = 16
"""Black and white pictures have at least so many pixels a side."""

USUAL: dict[str, tuple[int, int, float]] = {
    "pixelcnn": (32, 4, 3e-3),
    "gated_pixelcnn": (32, 7, 2e-3),
    "row_lstm": (32, 2, 2e-3),
    "diagonal_bilstm": (16, 1, 2e-3),
    "autoencoder dense": (200, 2, 1e-3),
    "autoencoder conv": (32, 2, 1e-3),
    "vae dense": (200, 2, 1e-3),
    "vae conv": (32, 2, 1e-3),
    "gan dense": (1200, 2, 2e-4),
    "gan conv": (64, 1, 2e-4),
}
"""Width, depth and learning rate by network and coder."""

KERNELS = {"pixelcnn": 7, "gated_pixelcnn": 3}
"""Side of the convolutions after the first."""


def generator_defaults(spec: RunSpec, facts: Facts) -> dict[str, dict[str, Any]]:
    """Return the usual value of every field of a generator's run that may be left open, by section."""
    name = spec.model.name or ""
    plain = facts.channels == 1 and facts.side <= SMALL
    # In black and white the digits of 8 pixels a side could not be read.
    levels = spec.generator.levels or (256 if not plain else 2 if facts.side >= READABLE else 16)
    coder = spec.generator.coder or ("dense" if plain else "conv")
    generator: dict[str, Any] = {}
    if name in (*AUTOREGRESSIVE, *LATENT):
        generator["levels"] = levels
    if name in KERNELS:
        generator["kernel"] = KERNELS[name]
    if name in LATENT:
        generator |= {"coder": coder, "code": 50, "output": "bernoulli" if levels == 2 else "logistic"}
    if name == "gan":
        coder = spec.generator.coder or "conv"
        loss = spec.generator.loss or "non_saturating"
        apart = loss == "wasserstein"
        generator |= {"coder": coder, "code": 100, "loss": loss}
        generator |= {"penalty": 10.0 if apart else 0.0, "turns": 5 if apart else 1}
    width, depth, rate = USUAL[name if name in AUTOREGRESSIVE else f"{name} {coder}"]
    model: dict[str, Any] = {"name": name, "width": width, "depth": depth}
    if name in LATENT:
        model["activation"] = "tanh" if coder == "dense" else "relu"
    return {
        "data": {"resolution": facts.side, "channels": facts.channels},
        "model": model,
        "generator": generator,
        "reg": {"label_smoothing": 0.0, "crop_padding": 0, "flip": "random" if facts.mirrorable else "none"},
        "optim": {
            "name": "adam",
            "lr": rate,
            "weight_decay": 0.0,
            "schedule": "constant" if name == "gan" else "linear",
        },
        "train": {
            "batch_size": min(facts.train_images, max(16, min(100, facts.train_images // 20))),
            "ema": 0.999,
        },
    }


def generator_epochs(facts: Facts) -> float:
    """Return the epochs that a generator is trained for if the machine is fast enough: 3 million showings, at most 300 epochs."""
    return float(min(300, max(10, round(3_000_000 / facts.train_images))))
