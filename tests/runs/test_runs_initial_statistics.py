"""How a technique starts a deep network: kept by He under ReLU, lost by a small fixed standard deviation."""

import pytest

from seewhy.core.errors import InputError
from seewhy.reporting import layer_statistics_panels
from seewhy.runs.initial_statistics import DEPTH, initial_statistics


def ratio(name, field):
    rows = initial_statistics(name)
    assert len(rows) == DEPTH + 1
    return rows[DEPTH - 1][field] / rows[0][field]


def test_he_keeps_the_signal_and_a_fixed_standard_deviation_loses_it():
    assert 0.3 < ratio("he", "std") < 3
    assert ratio("normal", "std") < 1e-8
    assert 0.2 < ratio("xavier", "std") < 2


def test_lsuv_and_batch_normalisation_keep_it_too():
    assert 0.8 < ratio("lsuv", "std") < 1.25
    assert 0.5 < ratio("batch", "std") < 2


def test_gradients_vanish_under_sigmoid():
    rows = initial_statistics("sigmoid")
    assert rows[0]["gradient_std"] < 1e-3 * rows[-1]["gradient_std"]


def test_only_families_with_a_start_are_shown():
    with pytest.raises(InputError, match="--show: draws initialisations, activations and normalisations, got 'adam'"):
        initial_statistics("adam")


def test_the_figure_has_a_point_a_layer_and_no_layer_at_zero():
    rows = [{"layer": "a", "std": 1.0, "gradient_std": 0.0}, {"layer": "b", "std": 1e-20, "gradient_std": 1.0}]
    chart = layer_statistics_panels("two layers", rows).to_dict()
    values = [row for data in chart["datasets"].values() for row in data] if "datasets" in chart else []
    values = values or [row for panel in chart["hconcat"] for row in panel["data"]["values"]]
    assert len(values) == 4
    assert min(row["value"] for row in values) == 1e-12
