"""Snapshot ensembles: one training in cycles, a network after each, averaged in prediction."""

import json
import math

import pytest
import torch

from run_cases import MLP, raise_at
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.core.tensors import load_tensors
from seewhy.metrics import apply_temperature
from seewhy.optim import in_cycles, schedule

OPTIONS = {**MLP, "train.snapshots": 3}


def test_the_rate_falls_in_every_cycle():
    """Huang et al. 2017: alpha_0 / 2 (cos(pi mod(t, T/M) / (T/M)) + 1)."""
    rate = in_cycles(schedule("cosine", total_steps=10), [10, 20, 30])
    expected = schedule("cosine", total_steps=10)
    assert [rate(t) for t in range(30)] == [expected(t % 10) for t in range(30)]
    assert rate(10) == 1.0 > rate(9)
    written = [0.5 * (math.cos(math.pi * (t % 10) / 10) + 1) for t in range(30)]
    assert [rate(t) for t in range(30)] == pytest.approx(written)
    plain = schedule("linear", total_steps=7)
    assert [in_cycles(plain, [7])(t) for t in range(7)] == [plain(t) for t in range(7)]


def test_a_run_leaves_a_network_a_cycle_and_predicts_with_all(tmp_path):
    run = api.train("digits", out=tmp_path / "run", epochs=3.0, **OPTIONS)
    weights = [load_tensors(run.folder / "snapshots" / f"{number:02d}.safetensors") for number in (1, 2, 3)]
    assert not torch.equal(weights[0]["net.head.weight"], weights[1]["net.head.weight"])
    last = run.checkpoints.load("last").model
    assert all(torch.equal(value, weights[2][name]) for name, value in last.items())
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    each = torch.stack([member.probabilities(images) for member in run.members])
    torch.testing.assert_close(run.probabilities(images), apply_temperature(each.mean(0), run.record["temperature"]))
    torch.testing.assert_close(run.predictor(images), run.probabilities(images))
    assert run.predict(images[0]).disagreement is not None
    details = json.loads((run.folder / "ensemble.json").read_text())["test"]
    assert len(details["members"]) == len(details["by_number"]) == 3
    assert run.results["test"]["accuracy"] == pytest.approx(details["by_number"][-1]["accuracy"])
    assert run.evaluate().accuracy == pytest.approx(run.results["test"]["accuracy"])
    assert "ensemble of 3" in run.report().read_text()
    with pytest.raises(InputError, match="is an ensemble, whose members differ already"):
        run.predict(images[0], samples=3)
    assert any("mean over their subsets" in line for line in run.measure().lines)


def test_interrupted_and_resumed_it_leaves_the_same_networks(tmp_path):
    whole = api.train("digits", out=tmp_path / "whole", epochs=2.0, **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        # within the second cycle of three
        api.train(
            "digits",
            out=tmp_path / "run",
            epochs=2.0,
            observers=[raise_at(20)],
            **OPTIONS,
            **{"train.checkpoint_seconds": 0.0},
        )
    resumed = api.resume(tmp_path / "run")
    for number in (1, 2, 3):
        ours, theirs = (
            load_tensors(run.folder / "snapshots" / f"{number:02d}.safetensors") for run in (resumed, whole)
        )
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert resumed.results == whole.results


def test_a_snapshot_is_a_network_by_itself(tmp_path):
    run = api.train("digits", out=tmp_path / "run", epochs=1.0, dropout=0.3, **OPTIONS)
    before = (run.folder / "predictions" / "test.npz").read_bytes()
    member = run.members[1]
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert member.predictor.temperature == 1  # the ensemble's temperature is of the averaged probabilities
    assert member.members == ()
    assert member.evaluate().n == run.results["test"]["n"]
    assert (run.folder / "predictions" / "test.npz").read_bytes() == before
    sampled = member.predict(list(images.numpy()[:, 0]), samples=4)
    assert all(prediction.disagreement > 0 for prediction in sampled)
    each = json.loads((run.folder / "ensemble.json").read_text())["test"]["members"]
    assert member.evaluate().accuracy == pytest.approx(each[1]["accuracy"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 2}, r"train\.snapshots: 3 snapshots of 2 members are one ensemble too many"),
        (
            {"optim.schedule": "linear"},
            r"train\.snapshots: the rate falls along cosines, but optim\.schedule is 'linear'",
        ),
        (
            {"train.patience": 2},
            r"train\.snapshots: each cycle begins with a worse network, so train\.patience 2 would stop it",
        ),
        ({"epochs": 0.05}, r"train\.snapshots: must be at most the number of steps \(1\), got 3"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        api.train("digits", out=tmp_path / "run", **{**OPTIONS, **options})
    assert not (tmp_path / "run").exists()
