"""Numbers and names as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from seewhy.reporting.formatting import (
    breakable,
    finite_or_none,
    format_count,
    format_metric_name,
    format_number,
    format_percent,
    format_term,
    replace_unsafe,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (5.0, "5"),
        (1234.5, "1,234"),
        (1234567, "1,234,567"),
        (0.00012345, "0.0001234"),
        (1e-9, "1e-09"),
        (2.34567, "2.346"),
        (-0.5, "-0.5"),
        (1e20, "1e+20"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        ("text", "–"),
    ],
)
def test_number(value: object, text: str) -> None:
    assert format_number(value) == text


def test_percent_and_count() -> None:
    assert format_percent(0.98765) == "98.8%"
    assert format_percent(math.nan) == "–"
    assert format_count(1, "image") == "1 image"
    assert format_count(2000, "class", "classes") == "2,000 classes"
    assert finite_or_none(True) == 1.0


@given(st.text(), st.integers(4, 60))
def test_a_short_name_keeps_to_its_limit_and_its_ends(name: str, limit: int) -> None:
    short = shorten(name, limit)
    assert len(short) == min(len(name), limit)
    assert short.isprintable()
    if len(name) > limit and name.isprintable():
        head, tail = short.split("…", 1) if "…" not in name else (short[:1], "")
        assert name.startswith(head)
        assert name.endswith(tail)


@given(st.text(st.characters()))
def test_clean_text_can_be_written(text: str) -> None:
    cleaned = replace_unsafe(text)
    assert isinstance(cleaned, str)
    cleaned.encode("utf-8")
    assert len(cleaned) == len(text)


def test_replacing_keeps_markup_and_numbers() -> None:
    assert type(replace_unsafe(Markup("<b>"))) is Markup
    assert replace_unsafe(3) == 3
    assert replace_unsafe("a\n\tb") == "a\n\tb"


def test_breakable_names_are_escaped() -> None:
    assert breakable("<a>/b_c") == Markup("&lt;a&gt;/<wbr>b_<wbr>c")


def test_metric_names_become_headings() -> None:
    names = {
        "kl": "KL",
        "lr": "Learning rate",
        "generator_loss": "Generator loss",
        "discriminator_bce": "Discriminator BCE",
        "macro_f1": "Macro F1",
    }
    assert {name: format_metric_name(name) for name in names} == names
    assert [format_term(name) for name in ("macro_f1", "kl", "lr")] == ["macro F1", "KL", "learning rate"]
    assert format_metric_name("fake") == "Score of generated images"
