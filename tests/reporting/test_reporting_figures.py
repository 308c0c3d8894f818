"""The figures: their data equal what was measured, and files come out in every form."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from reporting_records import calibrated, evaluation, metrics

from seewhy.core.errors import InputError
from seewhy.reporting import axes, classification, curves, figures
from seewhy.reporting.palette import DARK, LIGHT
from seewhy.reporting.svg import inline_svg


def rows_of(chart: object, field: str) -> list[dict]:
    """Every distinct data row in the chart that has the field."""
    datasets = chart.to_dict()["datasets"].values()  # type: ignore[attr-defined]
    return [row for rows in datasets for row in rows if field in row]


@pytest.mark.parametrize("K", [2, 10, 21, 45, 100])
def test_the_confusion_charts_data_are_the_matrix(K: int) -> None:
    record = evaluation(K, n=20 * K)
    drawn = np.zeros_like(record.confusion)
    for row in rows_of(classification.confusion_matrix_chart(record), "predicted"):
        drawn[row["true"], row["predicted"]] = row["count"]
        assert row["fraction"] == pytest.approx(row["count"] / record.confusion[row["true"]].sum(), abs=1e-4)
        assert row["correct"] == (row["true"] == row["predicted"])
    np.testing.assert_array_equal(drawn, record.confusion)


def test_many_classes_show_those_with_the_most_mistakes() -> None:
    record = evaluation(300, n=300)
    record.confusion[...] = np.diag(np.full(300, 5))
    record.confusion[7, 250] = 4
    shown = classification.confusion_classes(record)
    assert {7, 250} <= set(shown)
    assert len(shown) == classification.CLASSES_UP_TO // 2


def test_equal_long_class_names_stay_two_classes() -> None:
    record = evaluation(2, classes=["x" * 300 + "a" + "x" * 300, "x" * 300 + "b" + "x" * 300])
    assert (
        len(
            {
                (row["true"], row["predicted"])
                for row in rows_of(classification.confusion_matrix_chart(record), "predicted")
            }
        )
        == 4
    )


def test_counts_stand_in_the_cells_of_few_classes_only() -> None:
    few, many = (inline_svg(classification.confusion_matrix_chart(evaluation(K, n=3000)), "") for K in (10, 30))
    diagonal = str(int(evaluation(10, n=3000).confusion[0, 0]))
    assert f">{diagonal}</text>" in few
    assert f">{int(evaluation(30, n=3000).confusion[0, 0])}</text>" not in many


@pytest.mark.parametrize(
    ("losses", "from_zero"), [((94.0, 86.0, 84.0), False), ((2.0, 0.9, 0.5), True), ((-3.0, -4.0, -5.0), False)]
)
def test_a_loss_is_drawn_from_zero_only_where_it_comes_near(losses: tuple[float, ...], from_zero: bool) -> None:
    measured = [{"epoch": epoch, "train_loss": loss} for epoch, loss in enumerate(losses, 1)]
    scale = curves.curve_panels(measured)["loss"].to_dict()["layer"][0]["encoding"]["y"]["scale"]
    assert scale["zero"] is from_zero


def test_the_curves_data_are_the_metrics() -> None:
    measured = metrics(7)
    rows = rows_of(curves.learning_curves(measured), "value")
    for series, field in (("training", "train_loss"), ("validation", "val_loss")):
        drawn = [r["value"] for r in rows if r["series"] == series]
        for metric in measured:
            assert metric[field] in drawn
    assert {r["value"] for r in rows if r["series"] == "learning rate"} == {m["lr"] for m in measured}


def test_values_that_are_not_finite_or_absent_are_left_out() -> None:
    measured = [*metrics(3), {"epoch": 4, "train_loss": math.nan, "val_loss": math.inf, "lr": None}]
    rows = rows_of(curves.learning_curves(measured), "value")
    assert max(row["epoch"] for row in rows) == 3
    json.dumps(rows, allow_nan=False)


def test_a_wide_range_of_loss_is_drawn_logarithmically() -> None:
    wide = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 5000.0}]
    assert "Loss (logarithmic)" in inline_svg(curves.curve_panels(wide)["loss"], "")
    assert "logarithmic" not in inline_svg(curves.curve_panels(metrics(3))["loss"], "")


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 2), (0.3, 9.9), (1, 200), (0, 12345)])
def test_epochs_are_marked_at_few_whole_numbers(low: float, high: float) -> None:
    ticks = axes.whole_ticks(low, high)
    assert 1 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize(("low", "high"), [(0.01, 1), (2, 5000), (1e-30, 1e30)])
def test_logarithmic_marks_lie_within_the_values(low: float, high: float) -> None:
    ticks = axes.log_ticks(low, high)
    assert 2 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)


def test_no_finite_metric_is_an_error_that_says_so() -> None:
    with pytest.raises(InputError, match="metrics: must be epochs with finite values, got 1"):
        curves.learning_curves([{"epoch": 1, "train_loss": math.nan}])


def test_the_reliability_diagrams_data_are_the_bins() -> None:
    record = evaluation(5)
    rows = rows_of(classification.reliability_diagram(record), "n")
    bins = [bin_ for bin_ in record.calibration if bin_["n"]]
    assert [(r["confidence"], r["accuracy"], r["n"], r["lo"], r["hi"]) for r in rows] == [
        (b["confidence"], b["accuracy"], b["n"], b["lo"], b["hi"]) for b in bins
    ]


def test_the_reliability_diagram_shows_both_curves_where_a_temperature_was_fitted() -> None:
    record = calibrated()
    rows = rows_of(classification.reliability_diagram(record), "lo")
    for series, bins in (
        ("before scaling", record.uncalibrated["calibration"]),
        ("after scaling", record.calibration),
    ):
        drawn = {(row["confidence"], row["accuracy"], row["n"]) for row in rows if row["series"] == series}
        assert drawn == {(bin_["confidence"], bin_["accuracy"], bin_["n"]) for bin_ in bins if bin_["n"]}
    svg = inline_svg(classification.reliability_diagram(record), "")
    assert "after scaling" in svg
    assert "scaling" not in inline_svg(classification.reliability_diagram(evaluation()), "")


def test_every_metric_of_a_split_has_a_panel() -> None:
    measured = [{"epoch": 1, "train_generator_loss": 0.7, "train_top5_accuracy": 0.9, "val_kl": 3.0, "note": 1.0}]
    panels = curves.curve_panels(measured)
    assert list(panels) == ["generator_loss", "top5_accuracy", "kl"]
    titles = [panel.to_dict()["title"]["text"] for panel in panels.values()]
    assert titles == ["Generator loss", "Top-5 accuracy", "KL"]
    assert panels["top5_accuracy"].to_dict()["layer"][0]["encoding"]["y"]["axis"]["format"] == "~%"


def test_the_kl_charts_data_are_the_dimensions() -> None:
    rows = rows_of(figures.latent_kl_chart([2.0, 0.5, 0.001]), "rank")
    assert [(row["rank"], row["value"]) for row in rows] == [(1, 2.0), (2, 0.5), (3, 0.001)]
    assert rows[0]["tip"] == "latent dimension 1 by its KL: 2 nats"


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("json", b"{"), ("html", b"<!DOCTYPE html>")]
)
def test_save_figure_writes_each_form(tmp_path, ending: str, start: bytes) -> None:
    path = tmp_path / f"curves.{ending}"
    figures.save_figure(curves.learning_curves(metrics(3)), path)
    content = path.read_bytes()
    assert content.lstrip().startswith(start)
    assert list(tmp_path.iterdir()) == [path]
    if ending == "html":
        assert b'src="http' not in content


def test_save_raises_for_another_ending(tmp_path) -> None:
    with pytest.raises(InputError, match=r"path: must be a name that ends in \.png, \.svg, \.html or \.json"):
        figures.save_figure(curves.learning_curves(metrics(3)), tmp_path / "curves.gif")
    assert list(tmp_path.iterdir()) == []


def test_every_drawn_colour_follows_the_theme() -> None:
    assert set(LIGHT) == set(DARK)
    assert len(set(LIGHT.values())) == len(LIGHT)
    record = evaluation(10)
    charts = [figures.latent_kl_chart([1.0, 0.5]), classification.reliability_diagram(calibrated())]
    charts += [
        *curves.curve_panels(metrics(5)).values(),
        classification.confusion_matrix_chart(record),
        classification.reliability_diagram(record),
    ]
    known = {LIGHT[name] for name in ("ink", "muted", "quiet", "grid", "accent", "correct", "wrong", "over")}
    for chart in charts:
        svg = inline_svg(chart, "")
        drawn = {part.split('"')[0] for mark in ('fill="', 'stroke="') for part in svg.split(mark)[1:]}
        assert drawn <= known | {"none", "transparent"}, drawn - known


def test_drawings_carry_tips_and_one_description() -> None:
    svg = inline_svg(
        classification.confusion_matrix_chart(evaluation(3, classes=['<b>"a"', "b&b", "c"])), 'a "figure" <x>'
    )
    assert 'aria-label="a &quot;figure&quot; &lt;x&gt;"' in svg
    assert svg.count("aria-label") == 1
    assert 'data-tip="true &lt;b&gt;&quot;a&quot;, predicted' in svg
    assert "<b>" not in svg
    assert "xmlns" not in svg
