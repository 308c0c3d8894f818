"""Newton's and quasi-Newton methods in training: they learn, go on exactly, and refuse clearly what they cannot do."""

import math

import pytest

from run_cases import MLP, assert_same_bits, raise_at
from seewhy import api
from seewhy.core.errors import InputError

OPTIONS = {**MLP, "norm": "none"}


@pytest.mark.parametrize("name", ["lbfgs", "bfgs", "dfp", "hessian_free"])
@pytest.mark.parametrize("batch", [200, 1375])
def test_they_learn_digits(name, batch, tmp_path):
    options = {**OPTIONS, "width": 8, "optimizer": name, "batch_size": batch, "epochs": 4.0 if batch == 200 else 20.0}
    run = api.train("digits", out=tmp_path / "run", **options)
    losses = [row["train_loss"] for row in run.metrics]
    assert losses[-1] < 0.6 * losses[0]
    assert run.results["val"]["accuracy"] > 0.5


@pytest.mark.parametrize("name", ["lbfgs", "hessian_free"])
def test_interrupted_and_resumed_they_end_with_the_same_bits(name, tmp_path):
    options = {**OPTIONS, "width": 8, "optimizer": name, "batch_size": 300, "epochs": 2.0, "dropout": 0.2}
    api.train("digits", out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        api.train(
            "digits",
            out=tmp_path / "run",
            observers=[raise_at(3)],
            **options,
            **{"train.checkpoint_seconds": 0.0},
        )
    api.resume(tmp_path / "run")
    assert_same_bits(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["newton", "hessian_free"])
def test_newtons_take_steps_on_convolutions_at_any_precision(name, precision, tmp_path):
    options = {"model": "convnet", "width": 4, "depth": 1, "optimizer": name, "precision": precision}
    run = api.train("digits", out=tmp_path / "run", epochs=0.02, batch_size=25, **options, **{"train.threads": 1})
    assert math.isfinite(run.metrics[-1]["train_loss"])


def test_the_precision_of_lines_is_fp32_and_the_batch_is_large(tmp_path):
    run = api.train("digits", out=tmp_path / "run", optimizer="lbfgs", epochs=1.0, model="mlp", width=8)
    assert run.spec.train.precision == "fp32"
    assert run.spec.train.batch_size == 1375


def test_what_they_cannot_do_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"optim\.weight_decay: belongs to muon, .*, but optim\.name is 'lbfgs'"):
        api.train("digits", optimizer="lbfgs", weight_decay=0.1)
    with pytest.raises(InputError, match="is for at most 40,000 parameters"):
        api.train("digits", out=tmp_path / "run", optimizer="bfgs", model="mlp", width=512)
    assert not (tmp_path / "run").exists()
