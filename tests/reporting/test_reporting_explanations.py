"""The figure of explanations: colours of a map over its image, and what is written beside it."""

import numpy as np
import pytest

from seewhy.core.errors import InputError
from seewhy.reporting import save_figure
from seewhy.reporting.explanations import AttributionMap, ExplainedImage, Neighbour, explanation_chart, overlay
from seewhy.reporting.svg import inline_svg


def explained(**changes):
    image = np.full((6, 9, 3), 120, dtype=np.uint8)
    values = np.zeros((6, 9), dtype=np.float32)
    values[1, 2], values[4, 7] = 2.0, -2.0
    fields = {
        "name": "photos/sea/1.jpg",
        "image": image,
        "predicted": "sea",
        "confidence": 0.912,
        "explained": "sea",
        "true": "street",
        "maps": [AttributionMap("occlusion", values, ["barely changes with", "random weights"], doubtful=True)],
        "neighbours": [Neighbour(image, "forest", "photos/forest/2.jpg", 0.25)],
    }
    return ExplainedImage(**{**fields, **changes})


def test_orange_is_for_the_class_and_blue_against_it():
    one = explained()
    drawn = overlay(one.image, one.maps[0].values).astype(int)
    assert drawn.shape == (6, 9, 3)
    red, _, blue = drawn[1, 2]
    assert red > blue + 100
    red, _, blue = drawn[4, 7]
    assert blue > red + 100
    assert (drawn[0, 0] == drawn[0, 0, 0]).all()
    assert (overlay(one.image[:, :, :1], 0 * one.maps[0].values) == drawn[0, 0, 0]).all()


def test_the_figure_says_what_was_predicted_and_what_is_in_doubt(tmp_path):
    long = "a class whose name has no end & <b>"
    chart = explanation_chart([explained(), explained(name="2.jpg", true=None, explained=long)], ["One sentence."])
    text = inline_svg(chart, "maps")
    for word in (
        "1.jpg",
        "sea 91.2%",
        "truly street",
        "barely changes with",
        "random weights",
        "forest",
        "One sentence.",
    ):
        assert word in text
    assert text.count("truly") == 2  # drawn, and in the image's description
    assert "maps: a class whose…" in text or "maps: a class whos…" in text
    assert text.count('href="data:image/png') == 6
    assert "<b>" not in text
    save_figure(chart, tmp_path / "why.png")
    assert (tmp_path / "why.png").stat().st_size > 1000


def test_no_image_is_refused():
    with pytest.raises(InputError, match="at least one explained image"):
        explanation_chart([])
