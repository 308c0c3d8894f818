"""Newton's and quasi-Newton methods in training: one function a step, batches in pieces, exact resume, clear refusals."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from seewhy import api
from seewhy.core.errors import InputError, RunError
from seewhy.optim.quasi_newton import LBFGS
from seewhy.training.loop import steps
from seewhy.training.loop.checkpoint import Checkpoints
from seewhy.training.loop.events import StepEnded
from seewhy.training.loop.steps import Objective
from seewhy.training.tasks import Recognition

OPTIONS = {"model": "mlp", "width": 16, "depth": 1, "norm": "none", "precision": "fp32", "train.threads": 1}


def weights(folder):
    return Checkpoints(folder / "checkpoint").load("last").model


def job(net):
    optimizer = LBFGS(net.parameters(), max_iter=1)
    engine = SimpleNamespace(
        backward=lambda loss: loss.backward(), rank=0, device=torch.device("cpu"), autocast=nullcontext
    )
    return SimpleNamespace(optimizer=optimizer, wrapped=net, model=net, engine=engine, penalties=None)


@pytest.fixture
def objective():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3))
    images, labels = torch.randn(23, 3, 2, 2), torch.randint(0, 3, (23,))
    return Objective(Recognition(label_smoothing=0.1), job(net), images, labels, labels, seed=7)


def gradient(objective):
    return torch.cat([parameter.grad.flatten() for parameter in objective.job.wrapped.parameters()])


def test_a_batch_in_pieces_is_the_batch(objective, monkeypatch):
    objective.job.wrapped.eval()  # masks of pieces are others than those of the whole
    whole = objective.over()()
    expected, sums = gradient(objective), objective.sums
    monkeypatch.setattr(steps, "AT_ONCE", 7)
    again = Objective(objective.task, objective.job, objective.images, objective.labels, objective.targets, seed=7)
    torch.testing.assert_close(again.over()(), whole)
    torch.testing.assert_close(gradient(again), expected)
    torch.testing.assert_close(again.sums, sums)
    loss, logits = again.graph()
    torch.testing.assert_close(loss.detach(), whole)
    assert logits.shape == (23, 3)


def test_a_step_is_one_function_under_dropout(objective):
    closure = objective.over(5)
    first, second = closure(), closure()
    assert torch.equal(first, second)
    assert objective.sums is None  # that was a part of the batch
    other = Objective(objective.task, objective.job, objective.images, objective.labels, objective.targets, seed=8)
    assert not torch.equal(other.over(5)(), first)


def test_the_first_look_at_the_whole_batch_counts(objective):
    objective.over()()
    sums = objective.sums
    with torch.no_grad():
        for parameter in objective.job.wrapped.parameters():
            parameter.zero_()
    objective.over()()
    assert objective.sums is sums


@pytest.mark.parametrize("name", ["lbfgs", "bfgs", "dfp", "damped_newton"])
@pytest.mark.parametrize("batch", [200, 1375])
def test_they_learn_digits(name, batch, tmp_path):
    options = {**OPTIONS, "width": 8, "optimizer": name, "batch_size": batch, "epochs": 4.0 if batch == 200 else 20.0}
    run = api.train("digits", out=tmp_path / "run", **options)
    losses = [row["train_loss"] for row in run.metrics]
    assert losses[-1] < 0.6 * losses[0]
    assert run.results["val"]["accuracy"] > 0.5


@pytest.mark.parametrize("name", ["lbfgs", "damped_newton"])
def test_interrupted_and_resumed_they_end_with_the_same_bits(name, tmp_path):
    options = {**OPTIONS, "width": 8, "optimizer": name, "batch_size": 300, "epochs": 2.0, "dropout": 0.2}
    api.train("digits", out=tmp_path / "whole", **options)

    def stop_within_the_epoch(event):
        if isinstance(event, StepEnded) and event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(
            "digits",
            out=tmp_path / "run",
            observers=[stop_within_the_epoch],
            **options,
            **{"train.checkpoint_seconds": 0.0},
        )
    api.resume(tmp_path / "run")
    expected = weights(tmp_path / "whole")
    assert all(torch.equal(value, expected[key]) for key, value in weights(tmp_path / "run").items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["newton", "damped_newton"])
def test_newtons_take_steps_on_convolutions_at_any_precision(name, precision, tmp_path):
    options = {"model": "convnet", "width": 4, "depth": 1, "optimizer": name, "precision": precision}
    run = api.train("digits", out=tmp_path / "run", epochs=0.02, batch_size=25, **options, **{"train.threads": 1})
    assert math.isfinite(run.metrics[-1]["train_loss"])


def test_the_precision_of_lines_is_fp32_and_the_batch_is_large(tmp_path):
    run = api.train("digits", out=tmp_path / "run", optimizer="lbfgs", epochs=1.0, model="mlp", width=8)
    assert run.spec.train.precision == "fp32"
    assert run.spec.train.batch_size == 1375


def test_what_they_cannot_do_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"optim.weight_decay: must be 0 for lbfgs, which searches along a line, got 0.1"
    ):
        api.train("digits", optimizer="lbfgs", weight_decay=0.1)
    with pytest.raises(InputError, match="is for at most 40,000 parameters"):
        api.train("digits", out=tmp_path / "run", optimizer="bfgs", model="mlp", width=512)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    def spoil(event):
        if isinstance(event, StepEnded) and event.step == 2:
            raise_model["net"].head.weight.data.fill_(float("nan"))

    raise_model = {}

    def keep(event):
        if hasattr(event, "model"):
            raise_model["net"] = event.model.net

    options = {**OPTIONS, "optimizer": "lbfgs", "batch_size": 200, "epochs": 2.0}
    with pytest.raises(RunError, match=r"the loss is not finite at step 3; .* net.head"):
        api.train("digits", out=tmp_path / "run", observers=[keep, spoil], **options)
