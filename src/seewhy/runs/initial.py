"""Starting from another run's weights: read, compared with the network that is to be trained, and carried over, classes by their names.

A run of other classes starts with the same network but for what belongs to single classes: the rows of the output layer or, in a
class-conditional model, the columns of the label. Those of a class that both runs know are carried over, whatever its number; the others start
anew. Which ones belong to classes is found by building the network for one class more and looking which of its tensors grow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.core.tensors import digest_of
from seewhy.models.family import implementation_of
from seewhy.runs.run import Run
from seewhy.spec import Default
from seewhy.spec.initial import FIELD, format_reference, parse_reference
from seewhy.training.build import Prepared

SHOWN = 3


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run starts from.

    Attributes:
        folder: of the run that has them.
        classes: its classes.
        tensors: by name.
        digest: of them.
    """

    folder: Path
    classes: tuple[str, ...]
    tensors: dict[str, Tensor]
    digest: str


def read_initial(reference: str | None) -> InitialWeights | None:
    """Read the weights that a run starts from; None where it starts from random ones.

    Raises:
        InputError: there is no such run, it is an ensemble or has no weights yet, they are damaged, or others than the reference says.
    """
    if reference is None:
        return None
    folder, digest = parse_reference(reference)
    run = Run(folder)
    tensors = run.weights()
    found = digest_of(tensors)
    if digest not in (None, found):
        raise InputError(
            f"{FIELD}: the weights of {folder} are others now ({found}) than those that are asked for ({digest}); restore them, or name "
            f"{folder} alone to start from what it has"
        )
    return InitialWeights(folder, run.classes, tensors, found)


def carry_over(initial: InitialWeights, prepared: Prepared) -> Prepared:
    """Give a network another run's weights, in place, and return the run with what is said of them.

    Raises:
        InputError: the network is another.
    """
    own, ours, theirs = prepared.model.state_dict(), prepared.dataset.classes, initial.classes
    axes = {} if ours == theirs else _class_axes(prepared)
    unlike = sorted(own.keys() ^ initial.tensors.keys())
    shown = [f"{name} is only in one of them" for name in unlike]
    carried = {}
    for name, new in own.items():
        if name not in initial.tensors:
            continue
        old, axis = initial.tensors[name], axes.get(name)
        grown = 0 if axis is None else len(ours) - len(theirs)
        expected = [size - grown * (place == axis) for place, size in enumerate(new.shape)]
        if list(old.shape) != expected:
            shown.append(f"{name} is {_sizes(old)} there, {_sizes(new)} here")
        else:
            carried[name] = old if axis is None else _by_class(new, old, axis, ours, theirs)
    if shown:
        more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        raise InputError(
            f"{FIELD}: the network of {initial.folder} is another than the one asked for: {'; '.join(shown[:SHOWN])}{more}; leave out what was "
            "asked of the network and of the images' size to take that run's"
        )
    prepared.model.load_state_dict(carried)
    settled = Default(format_reference(initial.folder, initial.digest))
    said = _announcement(initial, ours, classes_matter=bool(axes))
    return replace(prepared, resolution=prepared.resolution.settle({FIELD: settled}), weights=said)


def _class_axes(prepared: Prepared) -> dict[str, int]:
    """Return the axis of each tensor that grows with the number of classes; classes are last along it."""
    spec, facts, dataset = prepared.spec, prepared.facts, prepared.dataset
    wider = implementation_of(spec).build(spec, replace(facts, classes=facts.classes + 1), dataset.mean, dataset.std)
    larger = wider.state_dict()
    return {
        name: axis
        for name, tensor in prepared.model.state_dict().items()
        for axis, (size, more) in enumerate(zip(tensor.shape, larger[name].shape, strict=True))
        if size != more
    }


def _by_class(new: Tensor, old: Tensor, axis: int, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Tensor:
    """Return a tensor whose last entries along an axis are those of the classes: known ones from `old`, the others from `new`."""
    shared = new.shape[axis] - len(ours)
    both = new.clone().movedim(axis, 0)
    source = old.to(new.device).movedim(axis, 0)
    both[:shared] = source[:shared]
    for place, name in enumerate(ours):
        if name in theirs:
            both[shared + place] = source[shared + theirs.index(name)]
    return both.movedim(0, axis)


def _sizes(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _announcement(initial: InitialWeights, ours: tuple[str, ...], *, classes_matter: bool) -> str:
    fresh = [name for name in ours if name not in initial.classes] if classes_matter else []
    if not fresh:
        return f"those of {initial.folder}"
    known = len(ours) - len(fresh)
    shown = ", ".join(fresh[:SHOWN]) + (f" and {len(fresh) - SHOWN} more" if len(fresh) > SHOWN else "")
    return f"those of {initial.folder}, which knows {known} of the {len(ours)} classes; what belongs to the others starts anew: {shown}"
