"""Families of models: one record each, which everything else asks.

A `Family` says what its models are called, which fields they take beside those that every run has, what goes together, what is chosen where
nothing is said, and which verbs they answer. What needs torch (networks, training step, evaluation, report) stands in the record that
`implementation` names, a `seewhy.models.family.Implementation`, which is imported when the first network is built.

A family outside this package registers itself by `register_family`, in a module that an entry point of the group `seewhy.families` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, NamedTuple

from seewhy.core.errors import InputError, unknown_name
from seewhy.spec.facts import DataFacts
from seewhy.spec.sections import EnsembleSection, ModelSection, RegSection, TrainSection
from seewhy.spec.view import View


class Default(NamedTuple):
    """A value that is chosen where a request leaves a field open, and why in a few words ("" where there is nothing to say)."""

    value: Any
    reason: str = ""


Defaults = Mapping[str, Default]
"""By dotted path."""


class Metric(NamedTuple):
    """The figure of a run's results by which runs are compared.

    Attributes:
        name: in the results of a split.
        higher: whether more of it is better.
        unit: of it, for people; "" for a share.
    """

    name: str
    higher: bool
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model that users choose by name.

    Attributes:
        name: what the user writes.
        section: its fields.
        verbs: what its runs can do beside training: "evaluate", "predict", "sample", "sample_quality",
            "complete", "reconstruct", "interpolate", "traverse", "export" (of models that predict, by that).
        summary: one line.
        formula: in plain text, with the letters of the canon.
        source: authors, year and, where there is one, the arXiv number.
        good_for: when to choose it.
        bad_for: when not to.
        claims: the canon's claims that measure it.
    """

    name: str
    section: type[ModelSection]
    verbs: frozenset[str]
    summary: str
    formula: str = ""
    source: str = ""
    good_for: str = ""
    bad_for: str = ""
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Attributes:
        name: plural noun, such as "classifiers".
        models: its models.
        implementation: "package.module:attribute" of its `seewhy.models.family.Implementation`.
        rules: yields a message for everything that does not go together.
        defaults: what is chosen where nothing is said; called with the model's name settled.
        epochs: the passes over the data that their size asks for.
        reg: its fields against overfitting.
        train: its fields of training.
        ensemble: whether several of its networks can be averaged.
        labels: "required" where there must be images of two classes at least, "optional" where any images will do.
        closures: whether optimisers that evaluate the loss themselves can train it.
        optimizers: those that the defaults choose among.
        metric: by which its runs are compared on validation data; None where there is none.
        figures: further figures of a split's results by which runs can be compared.
    """

    name: str
    models: tuple[Model, ...]
    implementation: str
    rules: Callable[[View], Iterator[str]]
    defaults: Callable[[View, DataFacts], Defaults]
    epochs: Callable[[DataFacts], float]
    reg: type[RegSection] = RegSection
    train: type[TrainSection] = TrainSection
    ensemble: bool = False
    labels: Literal["required", "optional"] = "required"
    closures: bool = True
    optimizers: tuple[str, ...] = ("adam",)
    metric: Metric | None = None
    figures: tuple[Metric, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All by which its runs can be compared, the usual one first."""
        return (*([self.metric] if self.metric is not None else []), *self.figures)

    def model(self, name: str) -> Model:
        """Return its model called `name`."""
        return next(model for model in self.models if model.name == name)

    def sections(self, model: str) -> dict[str, type[Any]]:
        """Return the sections that this family brings for a model."""
        found: dict[str, type[Any]] = {"model": self.model(model).section, "reg": self.reg, "train": self.train}
        return {**found, "ensemble": EnsembleSection} if self.ensemble else found


GROUP = "seewhy.families"
"""Entry points whose modules register families."""

_families: dict[str, Family] = {}
_loading: list[str] = []

BUILTIN = ("classifiers", "pretrained", "custom", "autoregressive", "latent", "adversarial")
"""Modules beside this one that define a family each, in the order in which they are listed."""


def register_family(family: Family) -> None:
    """Make a family's models choosable.

    Raises:
        InputError: its name or the name of one of its models is taken.
    """
    _load()
    taken = {model.name for other in _families.values() for model in other.models}
    for name in [family.name] * (family.name in _families) + [m.name for m in family.models if m.name in taken]:
        raise InputError(f"{name}: there is a model or family of this name already; choose another name")
    _families[family.name] = family


def _load() -> None:
    """Register the families of this package, then those of installed plug-ins, once."""
    if _loading:
        return
    _loading.append("begun")  # a plug-in's module registers its family while it is loaded
    for name in BUILTIN:
        family: Family = import_module(f"seewhy.spec.{name}").FAMILY
        _families[family.name] = family
    broken = []
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # noqa: BLE001  a stranger's module may raise anything; all are tried, then the first is told
            broken.append(f"plug-in {point.value!r} ({GROUP}) cannot be loaded: {type(error).__name__}: {error}")
    if broken:
        raise InputError(f"{broken[0]}; fix or uninstall it")


def families() -> tuple[Family, ...]:
    """Return all families."""
    _load()
    return tuple(_families.values())


def model_names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(model.name for family in families() for model in family.models)


def family_of(name: str) -> Family:
    """Return the family of the model called `name`; raises InputError with the nearest valid name."""
    for family in families():
        if any(model.name == name for model in family.models):
            return family
    raise unknown_name("model.name", name, model_names())


def answering(verb: str) -> tuple[str, ...]:
    """Return the names of the models whose runs answer a verb."""
    return tuple(model.name for family in families() for model in family.models if verb in model.verbs)
