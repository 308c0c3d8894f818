"""From a request to a specification: what was left open is chosen from the data and the machine.

The rules are few and visible, a family's own stand with it, and their outcome is written into the run's spec.toml with a few words of why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seewhy.core.errors import InputError
from seewhy.spec import check, tree
from seewhy.spec.classifiers import ClassifierTrain, default_model
from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default
from seewhy.spec.optimizers import Optimizer
from seewhy.spec.request import Request
from seewhy.spec.rules import misfits
from seewhy.spec.run_spec import RunSpec
from seewhy.spec.sections import Values
from seewhy.spec.view import View

DEFAULT_MINUTES = 8.75
"""Training time that a default budget stays within, by the estimate made before the run."""

OPEN_EPOCHS = 1e9
"""Stands for a budget that is settled only when the machine's speed is known; no patience is longer."""


@dataclass(frozen=True)
class Resolution:
    """A specification and how it came about.

    Attributes:
        request: what was asked for.
        spec: every field with its value.
        reasons: why, in a few words ("" where there is nothing to say), for each field that was chosen, by leaf path.
    """

    request: Request
    spec: RunSpec
    reasons: Mapping[str, str]

    def settle(self, changes: Mapping[str, Default]) -> Resolution:
        """Return the resolution with fields settled that depend on the machine; those that were asked for get no reason."""
        asked = self.request.asked()
        spec = self.spec.replace({path: default.value for path, default in changes.items()})
        told = {path: default.reason for path, default in changes.items() if path not in asked and path != "source"}
        return replace(self, spec=spec, reasons={**self.reasons, **told})

    def to_toml(self) -> str:
        """Return spec.toml, whose comments say what was asked for and why the rest was chosen."""
        return self.spec.to_toml(self.request, self.reasons)


def resolve(request: Request, facts: DataFacts) -> Resolution:
    """Fill in every choice but the budget in epochs, which needs the machine's speed (`resolve_budget`).

    Raises:
        InputError: a choice does not fit the data (a whitening stem on large images, hue on grey ones, ...), or what was chosen does not go with
            what was asked for.
    """
    values, reasons = request.values, dict[str, str]()
    if tree.get(values, "model.name") is None:
        values = _filled(values, {"model.name": default_model(facts)}, reasons)
    family = check.family_for(values)
    wrong = list(misfits(View(values, check.records(values)), facts))
    if wrong:
        raise InputError("\n".join(wrong))
    # Twice: the second time the optimiser and the groups are known by name, and what depends on them follows.
    for _ in range(2):
        defaults = family.defaults(View(values, check.records(values)), facts)
        names = {path: default for path, default in defaults.items() if path.endswith(".name")}
        values = _filled(values, names, reasons)
    values = _filled(values, defaults, reasons)
    values = _filled(values, _optimizer_defaults(values), reasons)
    settled = {
        "data.resolution": Default(facts.side, "the images' own size" if facts.small else "large images"),
        "data.channels": Default(facts.channels, "grey images" if facts.channels == 1 else "colour images"),
    }
    if tree.get(values, "train.epochs") is None:
        settled["train.epochs"] = Default(OPEN_EPOCHS)
    values = _filled(values, settled, reasons)
    return Resolution(request, RunSpec.of(request.source, values), reasons)


def _optimizer_defaults(values: Values) -> dict[str, Default]:
    record = check.records(values)["optim"]
    assert issubclass(record, Optimizer)
    usual = record.usual_for(tree.get(values, "train.batch_size"))
    return {f"optim.{name}": Default(value) for name, value in usual.items()}


def _filled(values: Values, defaults: Mapping[str, Default], reasons: dict[str, str]) -> Values:
    """Return values with what they leave open; adds why to `reasons`."""
    found = values
    for path, default in defaults.items():
        section, field, *_ = path.split(".")
        held = tree.groups(section, field)
        leaf = f"{path}.{held[0].lead}" if held and path.count(".") == 1 else path
        if tree.get(found, leaf) is None and default.value is not None:
            value = list(default.value) if isinstance(default.value, tuple) else default.value
            found = tree.applied(found, {leaf: value})
            reasons[leaf] = default.reason
    return found


def estimate_seconds(spec: RunSpec, facts: DataFacts, images_per_second: float, epochs: float) -> float:
    """Return the seconds that training, validation after each epoch and the final test are expected to take.

    A forward pass alone takes about a third of a training step. Each test-time view is one forward pass; the validation after an
    epoch looks at one view.
    """
    share, views = 1.0, 1  # of the cost of an epoch at the full side
    if isinstance(spec.train, ClassifierTrain):
        small = (spec.train.initial_resolution / facts.side) ** 2
        share = 1 - spec.train.initial_fraction * (1 - small)
        views = {"none": 1, "flip": 2, "flip_shift": 4}[spec.train.tta]
    forward = 1 / (3 * images_per_second)
    an_epoch = share * facts.train_images / images_per_second + facts.val_images * forward
    return epochs * an_epoch + (facts.test_images + facts.val_images) * views * forward


def resolve_budget(resolution: Resolution, facts: DataFacts, images_per_second: float) -> Resolution:
    """Write the budget in epochs into a resolution.

    Args:
        resolution: as `resolve` made it.
        facts: of the data.
        images_per_second: training speed measured on this machine for this network.
    """
    spec, asked = resolution.spec, resolution.request
    if asked.get("train.epochs") is not None or spec.train.epochs != OPEN_EPOCHS:
        return resolution
    fixed = estimate_seconds(spec, facts, images_per_second, 0)
    an_epoch = estimate_seconds(spec, facts, images_per_second, 1) - fixed
    wanted = asked.get("train.minutes")
    minutes = DEFAULT_MINUTES if wanted is None else float(wanted)
    affordable = max(0.0, minutes * 60 - fixed) / an_epoch
    usual = spec.family.epochs(facts)
    epochs: Any = affordable if wanted is not None else min(usual, affordable)
    reason = f"{minutes:g} minutes at {images_per_second:,.0f} images/s"
    if wanted is None and epochs == usual:
        reason = f"{facts.train_images:,} training images"
    one_step = spec.train.batch_size / facts.train_images
    return resolution.settle({"train.epochs": Default(round(max(epochs, one_step), 4), reason)})
