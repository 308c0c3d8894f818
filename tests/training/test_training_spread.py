"""How a technique starts a deep network: kept by He under ReLU, lost by a small fixed deviation."""

import pytest

from seewhy.core.errors import InputError
from seewhy.reporting.spread import spread_panels
from seewhy.training.spread import DEPTH, initial_spread


def falls(name, field):
    rows = initial_spread(name)
    assert len(rows) == DEPTH + 1
    return rows[DEPTH - 1][field] / rows[0][field]


def test_he_keeps_the_signal_and_a_fixed_deviation_loses_it():
    assert 0.3 < falls("he", "std") < 3
    assert falls("normal", "std") < 1e-8
    assert 0.2 < falls("xavier", "std") < 2


def test_gradients_vanish_under_sigmoid():
    rows = initial_spread("sigmoid")
    assert rows[0]["gradient_std"] < 1e-3 * rows[-1]["gradient_std"]


def test_only_families_with_a_start_are_shown():
    with pytest.raises(InputError, match="--show: draws initialisations, activations and normalisations, got 'adam'"):
        initial_spread("adam")


def test_the_picture_has_a_point_a_layer_and_no_layer_at_zero():
    rows = [{"layer": "a", "std": 1.0, "gradient_std": 0.0}, {"layer": "b", "std": 1e-20, "gradient_std": 1.0}]
    drawn = spread_panels("two layers", rows).to_dict()
    values = [row for data in drawn["datasets"].values() for row in data] if "datasets" in drawn else []
    values = values or [row for panel in drawn["hconcat"] for row in panel["data"]["values"]]
    assert len(values) == 4
    assert min(row["value"] for row in values) == 1e-12
