"""What is worth knowing of the images themselves: their sizes and shapes, emptiness, depth, pages and colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seewhy.data.audit import Issue, count, some
from seewhy.data.fitting import Fit
from seewhy.data.split_rules import Ints

LEAST_KEPT = 0.25
"""Share of an image, below which what is left of it by its shape is named."""

MANY_DARK = 0.5

_EFFECTS = {
    "crop": "scaled to cover {} x {} and cut at the centre",
    "pad": "scaled to fit into {} x {} and filled up with black",
    "stretch": "stretched to {} x {}",
}


def sizes(natural: Ints, shape: tuple[int, int, int], fit: Fit = "crop") -> list[Issue]:
    """Report mixed sizes; `natural` is int64 [n, 2] (height, width) of the used images, `shape` (H, W, C) of the decoded ones."""
    low, high = natural.min(0).tolist(), natural.max(0).tolist()
    effect = f"each is {_EFFECTS[fit].format(shape[1], shape[0])}"
    if low != high:
        message = f"sizes are mixed: {low[1]} to {high[1]} pixels wide, {low[0]} to {high[0]} high; {effect}"
        usual = int(np.median(natural.max(1)))
        if 2 * usual <= shape[0]:
            message += f"; half of them have no side of more than {usual}, for which data.resolution {usual} would do, and be faster"
        return [Issue("mixed_sizes", "note", message)]
    if low[0] * shape[1] != low[1] * shape[0]:
        return [Issue("cut", "note", f"images are not square: {low[1]} x {low[0]} pixels; {effect}")]
    return []


def extremes(natural: Ints, names: Sequence[str], shape: tuple[int, int, int], fit: Fit) -> list[Issue]:
    """Report images so wide or tall that less than a quarter of them, or of the shape, is used."""
    ratio = natural[:, 1] * shape[0] / np.maximum(natural[:, 0] * shape[1], 1)
    share = np.minimum(ratio, 1 / np.maximum(ratio, 1e-9))
    rows = np.flatnonzero(share < LEAST_KEPT)
    if not len(rows):
        return []
    rows = rows[np.argsort(share[rows], kind="stable")]
    effect = {"crop": "keep {:.2g}% of {}", "pad": "fill {:.2g}% of {}", "stretch": "are distorted to {:.2g}% of {}"}
    owner = {"crop": "themselves", "pad": "the square", "stretch": "their length"}[fit]
    worst = natural[rows[0]].tolist()
    at_least = effect[fit].format(100 * float(share[rows[0]]), owner)
    advice = "; data.fit pad or stretch keeps them whole" if fit == "crop" else ""
    message = (
        f"{count(len(rows), 'image')} very wide or tall: {some([names[row] for row in rows.tolist()])}; "
        f"at worst ({worst[1]} x {worst[0]} pixels) they {at_least}{advice}"
    )
    return [Issue("extreme_shapes", "warning", message, tuple(sorted(names[row] for row in rows.tolist())))]


def blank(names: Sequence[str]) -> list[Issue]:
    """Report images of a single colour."""
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    message = f"{count(len(names), 'image')} {verb} blank (of one colour): {some(names)}; look at {'it' if verb == 'is' else 'them'}"
    return [Issue("blank", "warning", message, tuple(sorted(names)))]


def dark(names: Sequence[str], used: int) -> list[Issue]:
    """Report nearly black images; where most of `used` images are, their scale is probably wrong."""
    if not names:
        return []
    many = len(names) > MANY_DARK * used
    advice = "is their range 0 to 255?" if many else "look at them"
    message = f"{count(len(names), 'image')} of {used:,} {'is' if len(names) == 1 else 'are'} nearly black: {some(names)}; {advice}"
    return [Issue("dark", "warning", message, tuple(sorted(names)))]


def deep(peaks: tuple[float, float] | None) -> list[Issue]:
    """Say by which scale deep images become 8 bits."""
    if peaks is None:
        return []
    integers = f"{int(peaks[0]).bit_length()}-bit (0 to {peaks[0]:,.0f})"
    message = (
        f"images with more than 8 bits a channel: by the values of a sample, integers count as {integers} "
        f"and floating-point values as 0 to {peaks[1]:,.0f} in the whole data set; larger values are cut"
    )
    return [Issue("deep_pixels", "note", message)]


def several(names: Sequence[str]) -> list[Issue]:
    """Report files of several pages or frames."""
    if not names:
        return []
    verb = "has" if len(names) == 1 else "have"
    message = f"{count(len(names), 'file')} {verb} several pages or frames, of which the first counts: {some(names)}"
    return [Issue("several_pages", "note", message, tuple(sorted(names)))]


def colours(grey: npt.NDArray[np.bool_], channels: int, *, asked: bool) -> list[Issue]:
    """Report colour images that are turned to grey without having been asked for."""
    lost = int((~grey).sum())
    if channels == 3 or not lost or asked:
        return []
    message = (
        f"{count(lost, 'colour image')} among grey ones, turned to grey; set data.channels to 3 to keep the colour"
    )
    return [Issue("colour_as_grey", "warning", message)]
