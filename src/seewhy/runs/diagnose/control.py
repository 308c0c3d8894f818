"""The control of a remedy: a random change of equal cost.

Whatever is changed in a run that fails, something may become better, and most of all where a run was looked at because it went badly. What a
remedy is worth is what it does beyond such a change: drawn from sections that the remedy does not touch, with the same epochs and a network of
the same size.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from seewhy.core.errors import InputError
from seewhy.models.family import implementation_of
from seewhy.runs.run import Run
from seewhy.spec import Request, RunSpec, format_edit, parse_edit, resolve
from seewhy.spec.optimizers import OPTIMIZERS
from seewhy.spec.section import Choice, groups_of, name_of
from seewhy.spec.tree import fields

SIZE = 0.05
"""Share by which the number of parameters may differ."""

PLAIN: dict[str, tuple[Any, ...]] = {
    "optim.schedule": ("one_cycle", "cosine", "linear", "constant"),
    "optim.weight_decay": (0.0, 1e-4, 1e-2),
    "reg.dropout": (0.1, 0.3),
    "reg.l2": (1e-5, 1e-4),
    "reg.label_smoothing": (0.0, 0.1),
    "reg.flip": ("none", "random"),
    "reg.brightness": (0.2,),
    "reg.contrast": (0.2,),
    "reg.mixup": (0.2,),
    "train.ema": (0.0, 0.99),
}
"""Values of plain fields that cost nothing and that people would try."""

NAMED = ("model.activation", "model.init", "model.norm")


def settled(run: Run) -> Request:
    """Return what was asked of a run, with what depends on the machine as it was: the epochs, the device, the precision, the first weights."""
    values, spec = run.spec.flat(), run.spec
    paths = ("train.epochs", "train.device", "train.precision", "train.initial_weights")
    return run.request.with_changes({"source": spec.source, **{path: values[path] for path in paths if path in values}})


def edited(base: Request, edit: str) -> Request:
    """Return a request with an edit.

    Raises:
        InputError: the edit is none, names a field that the run does not have, or leads to a request that is wrong.
    """
    return base.with_changes(parse_edit(edit))


def changed_spec(run: Run, base: Request, edit: str) -> RunSpec:
    """Return the specification that an edit leads to.

    Raises:
        InputError: the edit does not fit the run, its network cannot be built, or it changes nothing.
    """
    spec = resolve(edited(base, edit), run.facts).spec
    if spec == resolve(base, run.facts).spec:
        raise InputError(f"{edit}: changes nothing, since the run has it already")
    _size(run, spec)
    return spec


def random_edit(run: Run, base: Request, remedies: Sequence[str], seed: int) -> str:
    """Return an edit of equal cost that is drawn by a seed: first the field, then its value.

    Args:
        run: whose data it must fit.
        base: what was asked for.
        remedies: edits, of which the first keeps its sections to itself, the others their own fields; [] for none.
        seed: of the draw.

    Raises:
        InputError: there is no such edit.
    """
    taken = {path for edit in remedies for path in parse_edit(edit)}
    first = remedies[0] if remedies else ""
    sections = {path.split(".")[0] for path in parse_edit(first)}
    fields_of = {path: values for path, values in _candidates() if path.split(".")[0] not in sections}
    rng, size = random.Random(f"{first} {seed}"), _size(run, resolve(base, run.facts).spec)
    for path in rng.sample(list(fields_of), len(fields_of)):
        for value in rng.sample(fields_of[path], len(fields_of[path])):
            edit = format_edit({path: value})
            if not taken.isdisjoint(parse_edit(edit)):
                continue
            try:
                spec = changed_spec(run, base, edit)
            except InputError:  # not for this model, or as it is already
                continue
            if abs(_size(run, spec) - size) <= SIZE * size:
                return edit
    raise InputError(f"{run.folder}: there is no change of equal cost to compare {first!r} with")


def _candidates() -> Iterator[tuple[str, list[Any]]]:
    """Yield fields with the values that they may be changed to."""
    for path in NAMED:
        held = groups_of(fields("model")[path.removeprefix("model.")].annotation)
        yield path, [name_of(choice) for choice in held if issubclass(choice, Choice)]
    yield "optim.name", [name_of(record) for record in OPTIMIZERS if not record.closure]
    yield from ((path, list(values)) for path, values in PLAIN.items())


def _size(run: Run, spec: RunSpec) -> int:
    """Return the number of parameters of a specification's network."""
    network = implementation_of(spec).build(spec, run.facts, run.data["mean"], run.data["std"])
    return sum(parameter.numel() for parameter in network.parameters())
