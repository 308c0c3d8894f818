"""What a probe measures, against direct computation."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import seewhy


class Net(nn.Module):
    """A convnet that calls functions as well as modules."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 5)

    def parts(self, x):
        """Return the outputs of the linear maps, and the pre-activations."""
        first = self.conv(x)
        second = self.body(self.act(first.clone()).mean((2, 3)))
        return first, second, self.head(torch.tanh(second))

    def forward(self, x):
        return self.head(torch.tanh(self.body(self.act(self.conv(x)).mean((2, 3)))))


@pytest.fixture(scope="module")
def probed():
    """A first step: the network before it, its batch, what was recorded, and the network after it."""
    torch.manual_seed(0)
    model = Net()
    before = copy.deepcopy(model)
    x, y = torch.rand(32, 3, 6, 6), torch.randint(5, (32,))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with seewhy.watch(model, optimizer, tell=None) as why:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        record = why.history().latest[-1]
    assert not why.error
    return before, x, y, record, model


def test_layers_have_the_moments_and_gradients_of_their_outputs(probed):
    before, x, y, record, _ = probed
    parts = before.parts(x)
    gradients = torch.autograd.grad(F.cross_entropy(parts[-1], y), parts)
    assert [layer.layer for layer in record.layers] == ["conv", "body", "head"]
    for layer, output, gradient in zip(record.layers, parts, gradients, strict=True):
        assert layer.mean == pytest.approx(output.mean().item(), abs=1e-6)
        assert layer.std == pytest.approx(output.std(correction=0).item(), rel=1e-5)
        assert layer.gradient == pytest.approx(gradient.square().mean().sqrt().item(), rel=1e-4)


def test_parameters_have_their_gradients_and_updates(probed):
    before, x, y, record, after = probed
    F.cross_entropy(before(x), y).backward()
    moved = dict(after.named_parameters())
    assert [p.name for p in record.parameters] == list(moved)
    for measured, (name, p) in zip(record.parameters, before.named_parameters(), strict=True):
        assert measured.gradient == pytest.approx(p.grad.norm().item(), rel=1e-4)
        change, size = (moved[name] - p).norm().item(), moved[name].norm().item()
        assert measured.held
        assert measured.moved
        assert measured.weight == pytest.approx(size, rel=1e-5)
        assert measured.update == pytest.approx(change / size, rel=1e-3)


def test_units_are_judged_by_the_derivative(probed):
    before, x, _, record, _ = probed
    first, second, _ = before.parts(x)
    relu, tanh = record.activations
    assert (relu.layer, relu.function, relu.units) == ("act (relu)", "relu", 8)
    assert (tanh.layer, tanh.function, tanh.units) == ("(tanh)", "tanh", 16)
    never = (first.transpose(0, 1).flatten(1) <= 0).all(1).float().mean()
    assert relu.silent == pytest.approx(never.item())
    flat = (1 - torch.tanh(second).square() < 0.05).float().mean(0) >= 0.95
    assert tanh.saturated == pytest.approx(flat.float().mean().item())
    assert tanh.samples == 32


def test_inputs_and_logits(probed):
    before, x, y, record, _ = probed
    assert record.inputs.rows == 32
    assert record.inputs.mean == pytest.approx(x.mean((0, 2, 3)).tolist(), rel=1e-5)
    assert record.inputs.std == pytest.approx(x.std((0, 2, 3), correction=0).tolist(), rel=1e-5)
    assert (record.inputs.low, record.inputs.high) == (x.min().item(), x.max().item())
    assert record.inputs.rows_differ
    logits = before(x)
    assert record.logits.loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-4)
    assert record.logits.accuracy == pytest.approx((logits.argmax(1) == y).float().mean().item())
    assert (record.step, record.bad, record.lr) == (1, "", 0.1)


def test_the_first_bad_layer_is_named():
    model = Net()
    with torch.no_grad():
        model.body.weight[0, 0] = math.nan
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with seewhy.watch(model, optimizer, tell=None) as why:
        F.cross_entropy(model(torch.rand(8, 3, 6, 6)), torch.randint(5, (8,))).backward()
        optimizer.step()
    assert why.history().latest[-1].bad == "body"
    assert why.findings[0].layers == ("body",)


@pytest.mark.parametrize(("units", "enough"), [(8, 1000), (10, 250)])
def test_a_layer_is_dead_only_after_enough_examples(units, enough):
    """A thousand; fewer where all of its units are silent."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 2))
    nn.init.constant_(model[0].bias[:units], -100.0)
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    with seewhy.watch(model, optimizer, tell=None) as why:
        for step in range(1, 180):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.randn(80, 4)), torch.randint(2, (80,))).backward()
            optimizer.step()
            dead = any(finding.code == "dead_units" for finding in why.findings)
            samples = why.history().latest[-1].activations[0].samples
            assert dead == (samples >= enough), (step, samples)
    assert samples >= enough


def test_memory_does_not_grow_with_the_steps():
    from seewhy.diagnosis.history import FIRST, LAST, History
    from seewhy.diagnosis.records import ProbeRecord

    history = History("model")
    for step in range(1, 1000):
        history.add(ProbeRecord(step, "", 0.1, None, None))
    assert len(history.records) == FIRST + LAST
    assert [record.step for record in history.records[: FIRST + 1]] == [*range(1, FIRST + 1), 1000 - LAST]
