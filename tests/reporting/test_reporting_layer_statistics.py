"""The figure of activation and gradient statistics."""

from __future__ import annotations

from seewhy.reporting.layer_statistics import layer_statistics_panels


def test_the_figure_has_a_point_per_layer_and_no_layer_at_zero() -> None:
    rows = [{"layer": "a", "std": 1.0, "gradient_std": 0.0}, {"layer": "b", "std": 1e-20, "gradient_std": 1.0}]
    panels = layer_statistics_panels("two layers", rows).to_dict()
    values = [row["value"] for data in panels["datasets"].values() for row in data] if "datasets" in panels else []
    values = values or [row["value"] for panel in panels["hconcat"] for row in panel["data"]["values"]]
    assert len(values) == 4
    assert min(values) == 1e-12
