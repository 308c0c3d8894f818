"""Snapshot ensembles: one training in cycles, a network after each, averaged in prediction."""

import json
import math

import pytest
import torch

from seewhy import api
from seewhy.cli.main import run as main
from seewhy.core.errors import InputError
from seewhy.optim import in_cycles, schedule
from seewhy.training.loop.checkpoint import load_tensors
from seewhy.training.loop.events import StepEnded
from seewhy.training.results.folder import RunFolder

OPTIONS = {"model": "mlp", "width": 16, "depth": 1, "precision": "fp32", "train.threads": 1, "train.snapshots": 3}


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


def test_a_run_leaves_a_network_a_cycle_and_predicts_with_all(tmp_path, capsys):
    run = api.train("digits", out=tmp_path / "run", epochs=3.0, **OPTIONS)
    folder = RunFolder(run.folder)
    weights = [load_tensors(run.folder / "snapshots" / f"{place:02d}.safetensors") for place in (1, 2, 3)]
    assert not torch.equal(weights[0]["net.head.weight"], weights[1]["net.head.weight"])
    last = folder.checkpoints.load("last").model
    assert all(torch.equal(value, weights[2][name]) for name, value in last.items())
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    each = torch.stack([member.probabilities(images) for member in folder.members])
    torch.testing.assert_close(run.probabilities(images), each.mean(0))
    assert run.predict(images[0]).disagreement is not None
    details = json.loads((run.folder / "ensemble.json").read_text())["test"]
    assert len(details["members"]) == len(details["by_number"]) == 3
    assert run.results["test"]["accuracy"] == pytest.approx(details["by_number"][-1]["accuracy"])
    assert run.evaluate().accuracy == pytest.approx(run.results["test"]["accuracy"])
    assert "ensemble of 3" in run.report().read_text()
    with pytest.raises(InputError, match="is an ensemble, whose members differ already"):
        folder.drawn_probabilities(images, draws=3)
    assert main(["evaluate", str(run.folder)]) == 0
    assert "mean over their subsets" in capsys.readouterr().out


def test_interrupted_and_resumed_it_leaves_the_same_networks(tmp_path):
    whole = api.train("digits", out=tmp_path / "whole", epochs=2.0, **OPTIONS)

    def stop(event):
        if isinstance(event, StepEnded) and event.step == 20:  # within the second cycle of three
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(
            "digits", out=tmp_path / "run", epochs=2.0, observers=[stop], **OPTIONS, **{"train.checkpoint_seconds": 0.0}
        )
    resumed = api.resume(tmp_path / "run")
    for place in (1, 2, 3):
        ours, theirs = (load_tensors(run.folder / "snapshots" / f"{place:02d}.safetensors") for run in (resumed, whole))
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert resumed.results == whole.results


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
