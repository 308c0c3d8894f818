"""The tables of a study as Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparison_outcomes import folder, named, outcome

from seewhy.comparison.tables import (
    axis_title,
    digits_for,
    distinguished,
    format_p,
    pairs_table,
    to_latex,
    to_markdown,
    variants_table,
)
from seewhy.core.errors import InputError
from seewhy.reporting import StudyTable, TableCell
from seewhy.spec import Metric

GOOD, BAD = [0.95, 0.96, 0.94, 0.95, 0.97, 0.96], [0.90, 0.91, 0.89, 0.91, 0.92, 0.90]


def test_the_table_of_variants_is_this_one(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "slow_one"), 6)
    found = outcome(
        study, {"base": GOOD, "slow_one": [*BAD[:5], "its loss is not finite"]}, rates={"base": (0.1, True)}
    )
    table = variants_table(found)
    note = (
        "The best mean is in bold only where it is told apart from every other. "
        "The target is a validation accuracy of 90.6%, which every variant reaches at its end on average."
    )
    assert to_markdown(table) == f"{MARKDOWN}\n{note}\n".replace("HEAD", " | ".join(HEAD))
    assert to_latex(table) == f"% {note}\n{LATEX}".replace("HEAD", " & ".join(HEAD).replace("%", r"\%"))


HEAD = [
    *("Variant", "Test accuracy (%)", "95% interval", "sd", "n", "Learning rate", "Epochs to target"),
    *("Seconds to target", "Area under curve", "Failed", "Seconds a run"),
]
MARKDOWN = """\
| HEAD |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| base | **95.5** | [94.4, 96.6] | 1.05 | 6 | 0.1 (edge of the grid) | 2.5 | 5 | 95.5 | 0 of 6 [0%, 39%] | 6 |
| slow_one | 90.6 | [89.2, 92.0] | 1.14 | 5 | – | 2.5 | 5 | 90.6 | 1 of 6 [3%, 56%], 1 diverged | 6 |
"""
LATEX = r"""\begin{tabular}{lrrrrrrrrrr}
\toprule
HEAD \\
\midrule
base & \textbf{95.5} & [94.4, 96.6] & 1.05 & 6 & 0.1 (edge of the grid) & 2.5 & 5 & 95.5 & 0 of 6 [0\%, 39\%] & 6 \\
slow\_one & 90.6 & [89.2, 92.0] & 1.14 & 5 & -- & 2.5 & 5 & 90.6 & 1 of 6 [3\%, 56\%], 1 diverged & 6 \\
\bottomrule
\end{tabular}
"""


def test_the_table_of_comparisons(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "slow"), 6)
    table = pairs_table(outcome(study, {"base": GOOD, "slow": BAD}))
    row = dict(zip(table.head, table.rows[0], strict=True))
    assert [row[name].text for name in ("Variant", "Against", "Verdict", "Seeds", "Test")] == [
        "base",
        "slow",
        "better",
        "6",
        "t",
    ]
    assert row["Difference (points)"].text == "5.0"
    assert row["Difference (points)"].sort == pytest.approx(5.0)
    assert "Seeds needed" not in row  # no row has any
    assert "McNemar" not in row  # nor predictions


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({"a": GOOD, "b": BAD, "c": [value - 0.1 for value in BAD]}, "a"),
        ({"a": GOOD, "b": [0.955, 0.95, 0.955, 0.94, 0.968, 0.965], "c": BAD}, None),
        ({"a": GOOD[:4], "b": BAD[:4], "c": BAD[:4]}, None),
        ({"a": GOOD, "b": BAD, "c": ["broken"] * 6}, "a"),
    ],
)
def test_the_best_is_bold_only_where_it_is_told_from_all_others(tmp_path: Path, values: dict, best: str | None) -> None:
    seeds = len(values["a"])
    found = outcome(folder(tmp_path / "study", named("a", "b", "c"), seeds), values)
    assert distinguished(found) == best
    bold = [row[0].text for row in variants_table(found).rows if row[1].best]
    assert bold == ([best] if best else [])


def test_beside_a_base_a_variant_is_not_told_from_the_other_variants(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("a", "b", "c"), 6, reference="c")
    found = outcome(study, {"a": GOOD, "b": BAD, "c": [value - 0.1 for value in BAD]})
    assert distinguished(found) is None


def test_names_are_text_in_markdown_and_latex() -> None:
    table = StudyTable(
        ("a|b", "50%"), ((TableCell("x_1 | <b> *\n\\y"), TableCell("1 & 2", "#3 ~ ^ {} $ –", best=True)),)
    )
    assert to_markdown(table).splitlines()[0] == r"| a\|b | 50% |"
    assert to_markdown(table).splitlines()[2] == r"| x_1 \| \<b\> \* \\y | **1 & 2** (#3 ~ ^ {} $ –) |"
    assert to_latex(table).splitlines()[2] == r"a|b & 50\% \\"
    assert to_latex(table).splitlines()[4] == (
        r"x\_1 | \textless{}b\textgreater{} * \textbackslash{}y & "
        r"\textbf{1 \& 2} (\#3 \textasciitilde{} \textasciicircum{} \{\} \$ --) \\"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("model_width", "model_width"),
        ("__init__", r"\_\_init\_\_"),
        ("[a](b) [0, 1]", r"[a\](b) [0, 1]"),
        ("`x` two\nlines", r"\`x\` two lines"),
    ],
)
def test_markdown_escapes_what_would_be_markup_alone(text: str, written: str) -> None:
    assert to_markdown(StudyTable((text,), ())).splitlines()[0] == f"| {written} |"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match="must have 2 cells, got 1"):
        StudyTable(("a", "b"), ((TableCell("x"),),))


def test_numbers_are_written_as_exactly_as_they_are_known() -> None:
    assert [digits_for(widths) for widths in ([], [20.0], [0.5, 0.4, 90.0], [0.012], [0.0, float("inf")])] == [
        2,
        1,
        2,
        3,
        2,
    ]
    assert [format_p(p) for p in (None, float("nan"), 0.0004, 0.031, 0.5)] == ["–", "–", "< 0.001", "0.031", "0.5"]


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        (Metric("accuracy", higher=True), "Validation accuracy (%)"),
        (Metric("ece", higher=False), "Validation ECE (%)"),
        (Metric("log_loss", higher=False, unit="nats"), "Validation log loss (nats)"),
        (Metric("nats", higher=False, unit="nats per image"), "Validation nats per image"),
    ],
)
def test_a_metric_has_its_unit(metric: Metric, title: str) -> None:
    assert axis_title(metric, "val") == title
