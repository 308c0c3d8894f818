"""A family from outside the package: one model, linear least squares on the one-hot labels, without a softmax.

This module is light; what needs torch stands in `toy_implementation`, which is imported when the first network is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seewhy.spec import DataFacts, Default, Family, Model, ModelSection, View, register_family


class ToySection(ModelSection):
    """The fields of the toy."""

    name: Literal["toy"] = "toy"
    temperature: float = Field(1.0, gt=0, description="What the toy's outputs are divided by.")


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    if view["model.temperature"] > 1 and view["reg.l1"]:
        yield "model.temperature: a hot toy has no L1 penalty; choose one of the two"


def defaults(view: View, facts: DataFacts) -> dict[str, Default]:
    """Return what is chosen where nothing is said."""
    return {
        "reg.flip": Default("random" if facts.flip_invariant else "none"),
        "optim.name": Default(view["optim.name"] or "momentum", "a toy rolls"),
        "train.batch_size": Default(min(facts.train_images, 100)),
        "train.ema": Default(0.9),
    }


FAMILY = Family(
    name="toys",
    implementation="toy_implementation:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=lambda _facts: 3.0,
    optimizers=("momentum",),
    models=(
        Model(
            name="toy",
            section=ToySection,
            verbs=frozenset({"evaluate"}),
            summary="linear least squares on one-hot labels",
            formula="minimise |W x / T + b - onehot(y)|^2",
            source="Gauss 1809",
            good_for="tests",
            bad_for="images",
        ),
    ),
)

register_family(FAMILY)
