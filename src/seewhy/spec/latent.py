"""The family of latent-variable models: autoencoder and variational autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seewhy.spec import choices
from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default, Defaults, Family, Metric, Model
from seewhy.spec.generative import (
    LikelihoodSection,
    common_defaults,
    common_rules,
    default_levels,
    generative_epochs,
    plain,
)
from seewhy.spec.section import chosen
from seewhy.spec.view import View


class LatentSection(LikelihoodSection):
    """What models with an encoder and a decoder take."""

    latent_dim: int = Field(50, ge=1, le=4096, description="Dimensions of the latent vector.")
    architecture: Literal["dense", "conv"] = chosen(
        description="Encoder and decoder: dense layers, or convolutions (default: dense up to 32 pixels, grey)."
    )
    likelihood: Literal["bernoulli", "gaussian", "gaussian_learnt", "logistic"] = chosen(
        description="Distribution of a pixel given the latent vector (default: bernoulli for 2 levels, else logistic)."
    )
    activation: choices.Activation = chosen(description="Activation function.")


class AutoencoderSection(LatentSection):
    """An encoder and a decoder."""

    name: Literal["autoencoder"] = "autoencoder"


class VAESection(LatentSection):
    """Latents with a distribution."""

    name: Literal["vae"] = "vae"
    beta: float = Field(1.0, ge=0, description="Weight of the KL term.")
    free_bits: float = Field(0.0, ge=0, description="Nats of KL of each latent dimension that cost nothing.")
    kl_warmup: float = Field(0.0, ge=0, le=1, description="Share of the steps in which the KL term's weight rises.")
    samples: int = Field(
        1, ge=1, le=1000, description="Latents sampled for each image: more than 1 is the importance-weighted bound."
    )


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    yield from common_rules(view)
    levels = view["model.levels"]
    if view["model.likelihood"] == "bernoulli" and levels not in (None, 2):
        yield (
            f"model.likelihood: 'bernoulli' has 2 levels, but model.levels is {levels}; choose 2, a gaussian or logistic"
        )
    if view["model.free_bits"] and view["model.samples"] > 1:
        yield (
            f"model.free_bits: the importance-weighted bound of {view['model.samples']} samples has no KL term to leave free, "
            f"got {view['model.free_bits']}; set it to 0, or model.samples to 1"
        )
    if view["model.activation.keep_parameters"]:
        yield "model.activation.keep_parameters: is for classifiers; leave it out"


USUAL = {"dense": (200, 2), "conv": (32, 2)}
"""Width and depth by architecture."""


def defaults(view: View, facts: DataFacts) -> Defaults:
    """Return what is chosen where nothing is said."""
    size = f"{'grey' if facts.channels == 1 else 'colour'} images of {facts.side} px"
    architecture = view["model.architecture"] or ("dense" if plain(facts) else "conv")
    levels = view["model.levels"] or default_levels(facts).value
    width, depth = USUAL[architecture]
    return {
        **common_defaults(view, facts, rate=1e-3, schedule="linear"),
        "model.levels": default_levels(facts),
        "model.architecture": Default(architecture, size),
        "model.likelihood": Default("bernoulli" if levels == 2 else "logistic", f"{levels} levels"),
        "model.activation": Default("tanh" if architecture == "dense" else "relu", f"{architecture} layers"),
        "model.width": Default(width, f"{architecture} layers"),
        "model.depth": Default(depth),
    }


_VERBS = frozenset(
    {"evaluate", "sample", "sample_quality", "reconstruct", "interpolate", "encode", "decode", "axes", "export"}
)

FAMILY = Family(
    name="latent-variable models",
    implementation="seewhy.models.latent.family:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=generative_epochs,
    labels="optional",
    closures=False,
    metric=Metric("nats", higher=False, unit="nats per image"),
    figures=(Metric("bits_per_dimension", higher=False, unit="bits"),),
    models=(
        Model(
            name="autoencoder",
            section=AutoencoderSection,
            verbs=_VERBS,
            summary="an image through a low-dimensional latent vector and back",
            formula="minimise -log p(x | d(e(x)))",
            source="Rumelhart et al. 1986; Hinton & Salakhutdinov 2006",
            good_for="compression, denoising, a first look at a data set",
            bad_for="new images: random latents decode badly",
            claims=("C25",),
        ),
        Model(
            name="vae",
            section=VAESection,
            verbs=_VERBS | {"traverse"},
            summary="an autoencoder whose latents have a distribution, so that random ones mean something",
            formula="maximise L_b = E_q log p(x | z) - beta KL(q(z | x) || p(z)), z = m + exp(log-sigma) e, e ~ N(0, I)",
            source="Kingma & Welling 2014, 1312.6114; Burda et al. 2016, 1509.00519; Higgins et al. 2017",
            good_for="smooth latents, interpolation, a bound on the likelihood in seconds",
            bad_for="sharpness: pixels are means over what the latent leaves open",
            claims=("C25", "C26", "C27", "C28"),
        ),
    ),
)
