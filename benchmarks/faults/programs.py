"""All programs by name, in three sets.

On `dev` thresholds may be tuned: the first architectures (`bases`), and every other one of the second (`held_out`) in the order of their names.
`unseen` is the rest, of which whoever tunes looks at totals only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from bases import BASES
from changes import Change
from faults import FAULTS
from healthy import VARIANTS
from held_out import HANDS

SEEN = frozenset(sorted(hand.name for hand in HANDS)[::2])
SETS = ("dev", "unseen")
PLAIN = "plain"


@dataclass(frozen=True)
class Program:
    """A named program.

    Attributes:
        name: base and change.
        base: architecture, data and loop.
        set: of `SETS`.
        play: from watcher and seed to the watch and the final metric.
        kind: of its fault, "" for a healthy program.
        causes: the codes that name its fault; empty for a healthy program.
    """

    name: str
    base: str
    set: str
    play: Callable[[Callable[..., Any], int], tuple[Any, float]]
    kind: str = ""
    causes: frozenset[str] = frozenset()

    @property
    def plain(self) -> bool:
        """Whether it is the base as it is."""
        return self.name == f"{self.base} / {PLAIN}"


def changed(base: str, change: Change, watch: Callable[..., Any], seed: int) -> tuple[Any, float]:
    """Run one of the bases with a change."""
    setup = BASES[base](seed)
    change(setup)
    why = setup.loop(setup, watch)
    return why, setup.metric(setup)


def _set(name: str) -> str:
    return "dev" if name in SEEN else "unseen"


def _every() -> Iterator[Program]:
    for name, (bases, change) in VARIANTS.items():
        for base in bases.split():
            yield Program(f"{base} / {name}", base, "dev", partial(changed, base, change))
    for hand in HANDS:
        for name, how in {PLAIN: {}, **hand.healthy}.items():
            yield Program(f"{hand.name} / {name}", hand.name, _set(hand.name), partial(hand.train, **how))
    for fault in FAULTS:
        for base in fault.bases:
            play = partial(changed, base, fault.change)
            yield Program(f"{base} / {fault.name}", base, "dev", play, fault.name, fault.causes)
    for hand in HANDS:
        for name, (causes, how) in hand.faults.items():
            play = partial(hand.train, **how)
            yield Program(f"{hand.name} / {name}", hand.name, _set(hand.name), play, name, frozenset(causes.split()))


@cache
def programs() -> dict[str, Program]:
    """Return every program by name, the healthy ones first.

    Raises:
        ValueError: two have the same name.
    """
    every = list(_every())
    named = {program.name: program for program in every}
    if len(named) < len(every):
        raise ValueError("programs: two have the same name")
    return named


def chosen(set_: str | None, only: list[str]) -> list[Program]:
    """Return the programs of a set whose names contain one of `only`, with the plain programs that they are compared with."""
    some = [program for program in programs().values() if set_ in (None, program.set)]
    named = [program for program in some if not only or any(part in program.name for part in only)]
    bases = {program.base for program in named}
    return [program for program in some if program in named or (program.plain and program.base in bases)]
