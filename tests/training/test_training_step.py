"""What a step computes: one function of the weights, in chunks; processes' shares of a batch."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from seewhy.core.errors import RunError
from seewhy.models.classifiers.objective import cross_entropy
from seewhy.models.family import Inputs, Update
from seewhy.optim.quasi_newton import LBFGS
from seewhy.training import step
from seewhy.training.step import BatchLoss


class Engine:
    """One process on the processor."""

    rank, world, device = 0, 1, torch.device("cpu")
    autocast = staticmethod(nullcontext)
    backward = staticmethod(lambda loss: loss.backward())
    all_reduce_sum = staticmethod(lambda values: values)
    average_gradients = staticmethod(lambda module: None)


def job(net):
    optimizer = LBFGS(net.parameters(), max_iter=1)
    return SimpleNamespace(optimizer=optimizer, wrapped=net, model=net, engine=Engine(), penalties=None, seed=3)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3))
    labels = torch.randint(0, 3, (23,))
    update = Update(
        "model",
        lambda network, inputs: network(inputs.images),
        lambda logits, inputs: cross_entropy(logits, inputs, label_smoothing=0.1),
    )
    return BatchLoss(job(net), update, Inputs(torch.randn(23, 3, 2, 2), labels, labels), seed=7)


def gradient(loss):
    return torch.cat([parameter.grad.flatten() for parameter in loss.job.wrapped.parameters()])


def test_a_batch_in_chunks_is_the_batch(batch, monkeypatch):
    batch.job.wrapped.eval()  # masks of chunks are others than those of the whole
    whole = batch.over()()
    expected, sums = gradient(batch), batch.sums
    monkeypatch.setattr(step, "CHUNK", 7)
    again = BatchLoss(batch.job, batch.update, batch.inputs, seed=7)
    torch.testing.assert_close(again.over()(), whole)
    torch.testing.assert_close(gradient(again), expected)
    torch.testing.assert_close(again.sums, sums)
    loss, logits = again.graph()
    torch.testing.assert_close(loss.detach(), whole)
    assert logits.shape == (23, 3)


def test_a_step_is_one_function_under_dropout(batch):
    closure = batch.over(5)
    first, second = closure(), closure()
    assert torch.equal(first, second)
    assert batch.sums is None  # that was a part of the batch
    other = BatchLoss(batch.job, batch.update, batch.inputs, seed=8)
    assert not torch.equal(other.over(5)(), first)


def test_the_metrics_are_those_of_the_first_evaluation_of_the_whole_batch(batch):
    batch.over()()
    sums = batch.sums
    with torch.no_grad():
        for parameter in batch.job.wrapped.parameters():
            parameter.zero_()
    batch.over()()
    assert batch.sums is sums


@pytest.mark.parametrize("direct", [False, True])
def test_a_smaller_share_of_a_batch_counts_less(direct):
    """The mean over processes of their gradients must be the gradient of the mean over all images."""
    weight, inputs = nn.Linear(1, 1, bias=False), torch.arange(5.0)[:, None]
    both = SimpleNamespace(engine=SimpleNamespace(**{**vars(Engine), "world": 2}), model=weight)
    update = Update("model", lambda network, x: network(x), lambda outputs, x: None, direct=direct)
    gradients = []
    for share in (inputs[0::2], inputs[1::2]):  # 3 and 2 images
        weight.zero_grad()
        step.backward(both, update, weight(share).mean(), share, global_size=5)
        gradients.append(weight.weight.grad.clone())
    torch.testing.assert_close((gradients[0] + gradients[1]) / 2, inputs.mean().reshape(1, 1))


def test_what_is_not_finite_stops_with_step_and_layer(batch, tmp_path):
    job = batch.job
    with torch.no_grad():
        job.model[1].weight.fill_(math.inf)
    checkpoints = SimpleNamespace(has=lambda name: False, folder=tmp_path)
    job = SimpleNamespace(**vars(job), checkpoints=checkpoints)
    with pytest.raises(
        RunError, match=r"not finite at step 5; .* in 1 \(Linear: its weights are not finite\); there is no"
    ):
        step.summed(job, 4, batch.update, batch.inputs, {"loss": torch.tensor(math.nan)})


def test_the_seed_of_a_step_depends_on_run_step_and_process():
    def seed(run, number, rank):
        return step.step_seed(SimpleNamespace(seed=run, engine=SimpleNamespace(rank=rank)), number)

    seeds = {seed(run, number, rank) for run in (0, 1) for number in (0, 1) for rank in (0, 1)}
    assert len(seeds) == 8
    assert seed(0, 1, 0) == seed(0, 1, 0)
