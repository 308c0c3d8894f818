"""Explanations of predictions as one figure: a row for each image, its attribution maps over it, and the nearest training images."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.core.errors import bad_value
from seewhy.reporting.palette import LIGHT

TILE, GAP = 112, 14
"""Pixels of an image's longer side in the figure, and between images."""

LINE, SIZE = 14, 11
"""Pixels from line to line, and of the letters."""

LETTERS, LETTER = 20, 6.4
"""Letters that fit under an image, and pixels of one."""

LEGEND = "Orange speaks for the class, blue against it; every map has a scale of its own."

PIXELS = 4
"""An image is enlarged to so many pixels for each of the figure's, so that small ones have hard edges."""


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """One map of one image.

    Attributes:
        name: of the method, in words.
        values: [H, W]: what each position speaks for the class, below 0 against it.
        lines: what is written under it.
        doubtful: whether it failed the sanity check.
    """

    name: str
    values: NDArray[np.float32]
    lines: Sequence[str] = ()
    doubtful: bool = False


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training image near an explained one.

    Attributes:
        image: uint8 [H, W, C] with C = 1 or 3.
        label: its class.
        name: its file, or its place in the data.
        distance: in feature space, 0 for a copy.
    """

    image: NDArray[np.uint8]
    label: str
    name: str
    distance: float


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """One image and why it was predicted so.

    Attributes:
        name: its file.
        image: uint8 [H, W, C] with C = 1 or 3, as the network sees it.
        predicted: the most probable class.
        confidence: its probability.
        explained: the class that the maps speak for.
        true: its true class where that is known.
        maps: one a method.
        neighbours: the nearest training images, the nearest first.
    """

    name: str
    image: NDArray[np.uint8]
    predicted: str
    confidence: float
    explained: str
    true: str | None
    maps: Sequence[AttributionMap]
    neighbours: Sequence[Neighbour] = ()


Cell = tuple[str, NDArray[np.uint8], list[tuple[str, str]]]
"""Head, image, lines with their colours."""


def overlay(image: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a map over its image, pale and grey: orange speaks for the class, blue against it; uint8 [H, W, 3].

    The strongest colour is the 99.5th percentile of the map's size.
    """
    grey = np.atleast_3d(image).mean(axis=2, keepdims=True)
    base = np.repeat(140 + 0.45 * grey, 3, axis=2)
    size = np.abs(values)
    strength = np.clip(size / max(float(np.quantile(size, 0.995)), 1e-12), 0, 1)[:, :, None]
    colour = np.where(values[:, :, None] > 0, _rgb(LIGHT["wrong"]), _rgb(LIGHT["accent"]))
    shown: NDArray[np.uint8] = np.round(base + 0.92 * strength * (colour - base)).clip(0, 255).astype(np.uint8)
    return shown


def explanation_chart(images: Sequence[ExplainedImage], lines: Sequence[str] = ()) -> Any:
    """Draw explained images, a row each: the image, its maps, the nearest training images with their classes.

    Args:
        images: one or more.
        lines: sentences under the figure.

    Returns:
        An Altair chart.

    Raises:
        InputError: there is no image.
    """
    if not images:
        raise bad_value("images", 0, "at least one explained image")
    marks: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    tall = max(_sides(one.image)[1] for one in images)
    row = LINE * 2 + tall + LINE * 4
    for number, one in enumerate(images):
        top = number * row
        cells = [_prediction_cell(one), *(_map_cell(one, found) for found in one.maps)]
        cells += [_neighbour_cell(one, near, at) for at, near in enumerate(one.neighbours)]
        for column, cell in enumerate(cells):
            _place(marks, texts, column * (TILE + GAP), top, cell)
    width = max(len(one.maps) + len(one.neighbours) + 1 for one in images) * (TILE + GAP)
    foot = [line for text in (LEGEND, *lines) for line in textwrap.wrap(text, max(2 * LETTERS, int(width / LETTER)))]
    texts += [
        {"x": 0, "y": len(images) * row + number * LINE, "text": line, "colour": LIGHT["muted"]}
        for number, line in enumerate(foot)
    ]
    return _chart(marks, texts, width, len(images) * row + LINE * (len(foot) + 1))


def _prediction_cell(one: ExplainedImage) -> Cell:
    right = one.true is None or one.true == one.predicted
    lines = [(f"{one.predicted} {one.confidence:.1%}", LIGHT["ink"] if right else LIGHT["wrong"])]
    lines += [] if one.true is None else [(f"truly {one.true}", LIGHT["muted"])]
    lines += [] if one.explained == one.predicted else [(f"maps: {one.explained}", LIGHT["muted"])]
    return one.name.replace("\\", "/").rsplit("/", 1)[-1], one.image, lines


def _map_cell(one: ExplainedImage, found: AttributionMap) -> Cell:
    colour = LIGHT["wrong"] if found.doubtful else LIGHT["muted"]
    return found.name, overlay(one.image, found.values), [(line, colour) for line in found.lines]


def _neighbour_cell(one: ExplainedImage, near: Neighbour, position: int) -> Cell:
    head = "nearest training images" if position == 0 else ""
    colour = LIGHT["ink"] if near.label == one.explained else LIGHT["wrong"]
    return head, near.image, [(near.label, colour), (f"distance {near.distance:.2f}", LIGHT["muted"])]


def _place(
    marks: list[dict[str, Any]],
    texts: list[dict[str, Any]],
    left: float,
    top: float,
    cell: Cell,
) -> None:
    """Put a cell into the figure."""
    head, image, lines = cell
    width, height = _sides(image)
    said = ", ".join([head, *(line for line, _ in lines)])
    marks.append(
        {
            "x": left + width / 2,
            "y": top + LINE * 1.5 + height / 2,
            "url": _enlarged(image, width, height),
            "w": width,
            "h": height,
            "tip": said,
        }
    )
    limit = 2 * LETTERS if head.startswith("nearest") else LETTERS
    texts.append({"x": left, "y": top + 2, "text": _short(head, limit), "colour": LIGHT["muted"]})
    for number, (line, colour) in enumerate(lines):
        y = top + LINE * 1.5 + height + 5 + number * LINE
        texts.append({"x": left, "y": y, "text": _short(line, LETTERS), "colour": colour})


def _chart(marks: list[dict[str, Any]], texts: list[dict[str, Any]], width: float, height: float) -> Any:
    """Lay images and lines out at their places in pixels."""
    import altair as alt  # the figures' library, which nothing else of an explanation needs

    from seewhy.reporting.figures import inline_data, themed

    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, width], nice=False, zero=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False, zero=False))
    layers: list[Any] = []
    for w, h in sorted({(one["w"], one["h"]) for one in marks}):
        shown = [one for one in marks if (one["w"], one["h"]) == (w, h)]
        drawn = alt.Chart(inline_data(shown)).mark_image(width=w, height=h, aspect=False)
        layers.append(drawn.encode(x=x, y=y, url="url:N", tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N"))
    for colour in sorted({one["colour"] for one in texts}):
        shown = [one for one in texts if one["colour"] == colour]
        words = alt.Chart(inline_data(shown)).mark_text(
            align="left", baseline="top", fontSize=SIZE, color=colour, aria=False
        )
        layers.append(words.encode(x=x, y=y, text="text:N"))
    return themed(alt.layer(*layers).properties(width=width, height=height))


def _sides(image: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the width and the height at which an image is drawn."""
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    return width * scale, height * scale


def _enlarged(image: NDArray[np.uint8], width: float, height: float) -> str:
    """Return the image as a data URI, its pixels as squares where it is small."""
    from PIL import Image

    from seewhy.reporting.images import data_uri, pil_image

    target = (round(width * PIXELS), round(height * PIXELS))
    small = max(image.shape[:2]) < max(target)
    resized = pil_image(image).resize(target, Image.Resampling.NEAREST if small else Image.Resampling.BOX)
    return data_uri(resized, "png" if max(image.shape[:2]) <= TILE else "jpeg")


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)
