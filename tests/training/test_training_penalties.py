"""Penalties in a run: exact zeros that are saved and told, limits that hold, exact resume, refusals."""

import pytest
import torch

from run_cases import MLP, raise_at
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.core.tensors import load_tensors
from seewhy.training.checkpoint import Checkpoints

OPTIONS = {**MLP, "width": 32, "optimizer": "momentum"}


def weights(run):
    return Checkpoints(run.folder / "checkpoint").load("last").model


def test_l1_leaves_exact_zeros_and_their_share_is_a_result(tmp_path):
    run = api.train("digits", out=tmp_path / "run", epochs=6.0, **OPTIONS, **{"reg.l1": 0.02})
    saved = weights(run)
    matrices = [saved["net.layers.0.weight"], saved["net.head.weight"]]
    share = sum(int((weight == 0).sum()) for weight in matrices) / sum(weight.numel() for weight in matrices)
    assert share > 0.1
    sparsity = run.results["weights"]
    assert sparsity["sparsity"] == pytest.approx(share, abs=0.05)  # the best epoch's
    kept = Checkpoints(run.folder / "checkpoint").weights("best")
    names = ("net.layers.0.weight", "net.head.weight")
    assert sparsity["layers"] == {name: pytest.approx((kept[name] == 0).float().mean().item()) for name in names}
    report = run.report().read_text(encoding="utf-8")
    assert "Weights at zero" in report
    assert f"net.head.weight {sparsity['layers']['net.head.weight']:.1%}" in report
    assert (saved["net.head.bias"] != 0).any()
    assert run.results["val"]["accuracy"] > 0.8


def test_averaged_weights_and_snapshots_keep_the_zeros(tmp_path):
    """The mean over steps of a weight that L1 has chosen is a number near 0, which is none of the exact zeros that were asked for."""
    options = {"epochs": 3.0, "reg.l1": 0.05, "train.ema": 0.9, "train.snapshots": 2}
    run = api.train("digits", out=tmp_path / "run", **OPTIONS, **options)
    last = Checkpoints(run.folder / "checkpoint").load("last")
    names = ("net.layers.0.weight", "net.head.weight")
    for name in names:
        zero = last.model[name] == 0
        assert zero.any()
        assert torch.equal(last.average[name] == 0, zero)
        assert not torch.equal(last.average[name], last.model[name])
    files = [load_tensors(run.folder / "snapshots" / f"{number:02d}.safetensors") for number in (1, 2)]
    share = torch.cat([(weights[name] == 0).float().flatten() for weights in files for name in names]).mean()
    assert run.results["weights"]["sparsity"] == pytest.approx(share.item())
    assert 0 < share < 1


def test_without_l1_nothing_is_told(tmp_path):
    run = api.train("digits", out=tmp_path / "run", epochs=1.0, **OPTIONS, **{"reg.max_norm": 0.7, "reg.l2": 1e-3})
    assert "weights" not in run.results
    saved = weights(run)
    for name in ("net.layers.0.weight", "net.head.weight"):
        assert saved[name].norm(dim=1).max() <= 0.7 * (1 + 1e-5)


def test_interrupted_and_resumed_it_ends_with_the_same_bits(tmp_path):
    penalties = {"reg.l1": 0.01, "reg.l2": 1e-3, "reg.max_norm": 1.0, "train.checkpoint_seconds": 0.0}
    whole = api.train("digits", out=tmp_path / "whole", epochs=2.0, **OPTIONS, **penalties)
    with pytest.raises(KeyboardInterrupt):
        api.train("digits", out=tmp_path / "run", epochs=2.0, observers=[raise_at(25)], **OPTIONS, **penalties)
    resumed = api.resume(tmp_path / "run")
    expected = weights(whole)
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())


def test_l2_in_the_loss_reaches_methods_that_search(tmp_path):
    options = {**OPTIONS, "optimizer": "lbfgs", "width": 8, "norm": "none", "epochs": 15.0, "batch_size": 1375}
    norms = []
    for strength in (0.0, 0.05):
        run = api.train("digits", out=tmp_path / f"{strength}", **options, **{"reg.l2": strength})
        norms.append(sum(float(value.square().sum()) for value in weights(run).values()))
    assert norms[1] < 0.7 * norms[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"reg.l1": 0.1, "optimizer": "lbfgs"},
            r"reg\.l1, reg\.max_norm: change the weights after a step, but lbfgs learns",
        ),
        ({"reg.penalise_all": True}, r"reg\.penalise_all: needs a penalty, but reg\.l1 and reg\.l2 are 0"),
        ({"reg.max_norm": 0.0}, r"reg\.max_norm: must be a number greater than 0, got 0\.0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        api.train("digits", **options)
