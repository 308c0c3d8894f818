"""Programs that no threshold was tuned on: other architectures, data and loops, each in the hand of somebody else.

They are for the figures alone. Whoever tunes a rule looks at no finding in them, but at totals.
"""

from held_out import (
    cvae,
    dcgan,
    denoise,
    dropreg,
    lstm,
    mobile,
    preact,
    segment,
    siamese,
    tabular,
    tags,
    twoheads,
    vgg,
    vit,
)
from held_out.base import Hand

HANDS: tuple[Hand, ...] = tuple(
    part.HAND
    for part in (
        tabular,
        vgg,
        preact,
        vit,
        lstm,
        mobile,
        cvae,
        dcgan,
        siamese,
        denoise,
        segment,
        twoheads,
        dropreg,
        tags,
    )
)

__all__ = ["HANDS", "Hand"]
