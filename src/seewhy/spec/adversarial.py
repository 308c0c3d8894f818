"""The family of generative adversarial networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default, Defaults, Family, Model
from seewhy.spec.generative import GenerativeSection, common_defaults, generative_epochs
from seewhy.spec.view import View


class GANSection(GenerativeSection):
    """A generator and a discriminator."""

    name: Literal["gan"] = "gan"
    latent_dim: int = Field(100, ge=1, le=4096, description="Dimensions of the noise.")
    architecture: Literal["dense", "conv"] = Field(
        "conv", description="Generator and discriminator: dense layers, or convolutions (DCGAN)."
    )
    loss: Literal["minimax", "non_saturating", "wasserstein", "hinge"] = Field(
        "non_saturating", description="What generator and discriminator minimise."
    )
    gradient_penalty: float | None = Field(
        None, ge=0, description="Weight of the gradient penalty (default: the loss's own: 10 for wasserstein, else 0)."
    )
    critic_steps: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Steps of the discriminator for one of the generator (default: the loss's own: 5 for wasserstein, else 1).",
    )


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    if view["train.patience"] is not None:
        yield (
            f"train.patience: a gan has no validation loss that could stop falling, got {view['train.patience']}; leave it out"
        )
    if view["model.gradient_penalty"] and view["model.loss"] != "wasserstein":
        yield (
            f"model.gradient_penalty: belongs to wasserstein, but model.loss is {view['model.loss']!r}; choose it or leave the penalty out"
        )


USUAL = {"dense": (1200, 2), "conv": (64, 1)}
"""Width and depth by architecture."""


def defaults(view: View, facts: DataFacts) -> Defaults:
    """Return what is chosen where nothing is said."""
    architecture = view["model.architecture"]
    width, depth = USUAL[architecture]
    found = common_defaults(view, facts, rate=2e-4, schedule="constant")
    found |= {
        "model.width": Default(width, f"{architecture} layers"),
        "model.depth": Default(depth),
    }
    if view.optimizer is not None:
        found |= {
            f"optim.{name}": Default(value, "adversarial training")
            for name, value in view.optimizer.adversarial.items()
        }
    return found


FAMILY = Family(
    name="generative adversarial networks",
    implementation="seewhy.models.adversarial.family:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=generative_epochs,
    labels="optional",
    closures=False,
    models=(
        Model(
            name="gan",
            section=GANSection,
            verbs=frozenset({"sample", "sample_quality", "export"}),
            summary="a generator trained against a discriminator that classifies images as real or generated",
            formula="min_G max_D E log D(x) + E log(1 - D(G(z))), or one of the other losses",
            source="Goodfellow et al. 2014, 1406.2661; Radford et al. 2016, 1511.06434",
            good_for="sharp images, sampled at once",
            bad_for="likelihoods, which it has none of; coverage: it may drop modes",
            claims=("C28", "C29"),
        ),
    ),
)
