"""Facts of three kinds of data, and requests resolved on them."""

import dataclasses

from seewhy.spec import DataFacts, Request, estimate_seconds, resolve, resolve_budget

SMALL_COLOUR = DataFacts(32, 32, 3, 10, 10_000, 1_000, 2_000, flip_invariant=True)
DIGITS = DataFacts(8, 8, 1, 10, 1_257, 180, 360, flip_invariant=False)
LARGE_COLOUR = DataFacts(128, 128, 3, 5, 3_000, 300, 500, flip_invariant=True)
FACTS = {"digits": DIGITS, "small colour": SMALL_COLOUR, "large colour": LARGE_COLOUR}


def facts(**changes):
    """Facts of a small coloured data set, with some of them replaced."""
    return dataclasses.replace(SMALL_COLOUR, **changes)


def resolution_of(request, about=SMALL_COLOUR, speed=1_000.0):
    return resolve_budget(resolve(request, about), about, speed)


def resolved(about=SMALL_COLOUR, speed=1_000.0, **options):
    return resolution_of(Request.make("digits", options), about, speed).spec


def seconds_of(spec, about, speed):
    return estimate_seconds(spec, about, speed, spec.train.epochs)
