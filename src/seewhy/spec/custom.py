"""The family of networks that users bring: one model, made by a function of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seewhy.spec.classifiers import FIGURES, VERBS, ClassifierReg, ClassifierTrain, training_defaults, usual_epochs
from seewhy.spec.classifiers import rules as classifier_rules
from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default, Defaults, Family, Metric, Model
from seewhy.spec.section import chosen
from seewhy.spec.sections import ModelSection
from seewhy.spec.view import View

LACKING = ("dropout", "input_dropout", "dropconnect")
"""Fields against overfitting that put layers into a network."""


class Custom(ModelSection):
    """A network made by a function."""

    name: Literal["custom"] = "custom"
    factory: str = chosen(
        pattern=r"^[^:\s]+:[^:\s]+$",
        description="The function that makes it, package.module:function: ((channels, height, width), classes) -> torch.nn.Module from "
        "normalised images to logits. Also --model package.module:function.",
    )
    inputs: Literal["standard", "unit"] = Field(
        "standard",
        description="Scale of the inputs: mean 0 and standard deviation 1 per channel over the training images, or from 0 to 1.",
    )

    @property
    def code(self) -> tuple[str, ...]:
        """What is imported to make the network."""
        return (self.factory,)


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    yield from classifier_rules(view)
    if view["model.factory"] is None:
        yield "model.factory: is required; say --model package.module:function (in Python: model=function)"
    for field in LACKING:
        if view[f"reg.{field}"]:
            yield f"reg.{field}: is for seewhy's own networks, not for one that is made already; leave it out"


def defaults(view: View, facts: DataFacts) -> Defaults:
    """Return what is chosen where nothing is said."""
    found = training_defaults(view, facts, optimizer=Default("adamw", "whatever the network is"))
    closure = view.optimizer is not None and view.optimizer.closure
    size = Default(facts.side, "a closure's curvature" if closure else "the network may be made for one size")
    return {**found, "train.initial_resolution": size}


FAMILY = Family(
    name="custom",
    implementation="seewhy.models.custom.family:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=usual_epochs,
    reg=ClassifierReg,
    train=ClassifierTrain,
    ensemble=True,
    optimizers=("adamw",),
    metric=Metric("accuracy", higher=True),
    figures=FIGURES,
    models=(
        Model(
            name="custom",
            section=Custom,
            verbs=VERBS,
            summary="your own network, made by a function that you name",
            formula="factory((channels, height, width), classes) -> module; logits = module(normalised images)",
            source="yours",
            good_for="an architecture that seewhy does not have",
            bad_for="a run folder that strangers should open: they have to trust your code",
        ),
    ),
)
