"""Unbalanced classes in a whole run: exact resume, weights, the chosen epoch, and figures that count every class alike."""

import json

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from run_cases import MLP, assert_same_bits, raise_at
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.data import class_weights
from seewhy.models.classifiers.family import format_metrics
from seewhy.models.classifiers.objective import cross_entropy
from seewhy.models.family import Inputs


@pytest.fixture(scope="module")
def unbalanced(tmp_path_factory):
    """The digits with 150 zeros and ones, and a tenth of the others."""
    digits, random = load_digits(), np.random.default_rng(0)
    keep = (digits.target < 2) | (random.random(len(digits.target)) < 0.1)
    path = tmp_path_factory.mktemp("unbalanced") / "digits.npz"
    np.savez(path, images=(digits.images[keep] * 15).astype(np.uint8), labels=digits.target[keep])
    return path


def test_a_balanced_run_goes_on_bit_for_bit(unbalanced, tmp_path):
    options = {**MLP, "data.balance": "equal", "epochs": 3.0, "batch_size": 32, "train.checkpoint_seconds": 0.0}
    whole = api.train(unbalanced, out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        api.train(unbalanced, out=tmp_path / "broken", observers=[raise_at(18)], **options)
    api.resume(tmp_path / "broken")
    assert_same_bits(tmp_path / "broken", whole.folder)
    plain = api.train(unbalanced, out=tmp_path / "plain", **{**options, "data.balance": "none"})
    assert plain.results["test"]["balanced_accuracy"] != whole.results["test"]["balanced_accuracy"]


def test_the_best_epoch_is_the_named_metrics(unbalanced, tmp_path):
    columns = {"accuracy": "val_accuracy", "macro_f1": "val_macro_f1", "log_loss": "val_loss"}
    for metric, column in columns.items():
        run = api.train(unbalanced, out=tmp_path / metric, epochs=4.0, **MLP, **{"train.metric": metric})
        lines = [line.split(",") for line in (run.folder / "metrics.csv").read_text().split()]
        values = [float(line[lines[0].index(column)]) for line in lines[1:]]
        best = json.loads((run.folder / "checkpoint" / "best.json").read_text())
        chosen = [line for line in lines[1:] if f"{int(line[lines[0].index('step')]):08d}" in best["folder"]]
        assert float(chosen[0][lines[0].index(column)]) == (min if metric == "log_loss" else max)(values)


def test_weights_are_those_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 3, generator=generator), torch.tensor([0, 1, 2, 0, 0, 1])
    weights = class_weights([3, 2, 1], "equal")
    inputs = Inputs(torch.zeros(6, 1, 1, 1), labels, labels)
    loss = cross_entropy(logits, inputs, weights=weights)
    each = F.cross_entropy(logits, labels, reduction="none")
    assert loss.loss.item() == pytest.approx((weights[labels] * each).mean().item())
    assert (loss.sums["loss"] / 6).item() == pytest.approx(each.mean().item())
    soft = Inputs(inputs.images, labels, F.one_hot(labels, 3).float())
    for smoothing in (0.0, 0.2):
        one, other = (cross_entropy(logits, x, label_smoothing=smoothing, weights=weights) for x in (inputs, soft))
        assert one.loss.item() == pytest.approx(other.loss.item())


def test_weights_reach_the_run(unbalanced, tmp_path):
    runs = [
        api.train(unbalanced, out=tmp_path / w, epochs=2.0, **MLP, **{"reg.class_weights": w})
        for w in ("none", "equal")
    ]
    plain, weighted = (run.results["test"]["class_recall"] for run in runs)
    assert sum(weighted.values()) > sum(plain.values())
    figures = runs[1].evaluate()
    assert figures.balanced_accuracy == runs[1].results["test"]["balanced_accuracy"]
    assert f"balanced accuracy  {figures.balanced_accuracy:.2%}" in format_metrics(figures)
    assert "Each class counting alike" in runs[1].report().read_text()


def test_balance_twice_is_refused():
    with pytest.raises(InputError, match=r"reg.class_weights, data.balance: both make up for classes"):
        api.train("digits", **{"data.balance": "sqrt", "reg.class_weights": "sqrt"})
