"""What a page of claims is drawn from: the figures as plain numbers, and one record per claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from seewhy.core.errors import bad_value


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Lines with bands: one line per condition.

    Attributes:
        x: the horizontal axis, in words.
        y: the vertical one.
        lines: by condition, points (x, mean, low, high); low and high are the band over seeds.
        log_x: whether the axis is logarithmic.
        log_y: likewise.
    """

    x: str
    y: str
    lines: Mapping[str, tuple[tuple[float, float, float, float], ...]]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Dots:
    """One dot per condition and seed, and a tick at the mean.

    Attributes:
        y: what is measured, in words.
        groups: by condition, a value per seed.
        log: whether the axis is logarithmic.
        line: a value that is marked, such as the bound; None for none.
    """

    y: str
    groups: Mapping[str, tuple[float, ...]]
    log: bool = False
    line: float | None = None


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images side by side.

    Attributes:
        images: (caption, data URI of a PNG); a grid of images is one.
    """

    images: tuple[tuple[str, str], ...]


Figure = Lines | Dots | Images
_KINDS: dict[str, type[Lines] | type[Dots] | type[Images]] = {"lines": Lines, "dots": Dots, "images": Images}


def figure_to_json(figure: Figure) -> dict[str, Any]:
    """Return a figure as JSON."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(figure, cls))
    return {"kind": kind, **asdict(figure)}


def figure_from_json(value: Mapping[str, Any]) -> Figure:
    """Return the figure of `figure_to_json`.

    Raises:
        InputError: its kind is not known.
    """
    fields = dict(value)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise bad_value("figure", kind, f"one of {', '.join(_KINDS)}")
    return _KINDS[kind](**{name: _tuples(part) for name, part in fields.items()})


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(part) for name, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, kw_only=True)
class CriterionRow:
    """A criterion as a page shows it: everything is text but the state, which is holds, fails or open."""

    text: str
    measure: str
    estimate: str
    interval: str
    region: str
    state: str


@dataclass(frozen=True, kw_only=True)
class ClaimRecord:
    """A claim as a page shows it.

    Attributes:
        code: C01 ...
        title: a few words.
        data: the name of the images.
        sentence: the claim.
        verdict: supported, not supported, or depends.
        text: the verdict as a sentence.
        criteria: the numbers.
        figure: what is drawn.
        source: what the source says.
        experiment: what was run.
        facts: (name, text), such as seeds, data, hardware.
        command: what repeats it.
    """

    code: str
    title: str
    data: str
    sentence: str
    verdict: str
    text: str
    criteria: tuple[CriterionRow, ...]
    figure: Figure
    source: str
    experiment: str
    facts: tuple[tuple[str, str], ...]
    command: str
