"""What every registered optimiser must do: converge, resume to the bit, refuse what it cannot take."""

import io
import pkgutil

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim import OPTIMISERS, Newton, build, schedule

FIRST = [technique.name for technique in OPTIMISERS if not technique.factory.closure]
SECOND = [technique.name for technique in OPTIMISERS if technique.factory.closure]

QUADRATIC_RATES = {
    "muon": 0.24, "sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.5, "rmsprop": 0.05, "adam": 0.1, "adamw": 0.1,
}  # fmt: skip

NETWORK_RATES = {
    "muon": 0.24, "sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.01, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3,
}  # fmt: skip

ROSENBROCK_RATES = {
    "muon": 0.02, "sgd": 2e-3, "momentum": 5e-4, "nesterov": 5e-4, "adagrad": 0.5, "rmsprop": 0.01, "adam": 0.05, "adamw": 0.05,
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_converges_on_a_quadratic(name):
    torch.manual_seed(0)
    weight, shift = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))
    output = nn.Parameter(torch.randn(2, 4))
    target = torch.linalg.qr(torch.randn(4, 4))[0]  # of norm sqrt(rows), as Muon's matrices are
    optimiser = build(name, [("w", weight), ("b", shift), ("out", output)], lr=QUADRATIC_RATES[name])
    base = [group["lr"] for group in optimiser.param_groups]
    rate = schedule("linear", total_steps=400)
    scales = torch.tensor([1.0, 2.0, 4.0, 8.0])
    for step in range(400):
        for group, lr in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = lr * rate(step)
        optimiser.zero_grad()
        distance = (scales * (weight - target) ** 2).sum() + (scales * shift**2).sum() + (output**2).sum()
        distance.backward()
        optimiser.step()
    assert distance.item() < 1e-2


@pytest.mark.parametrize("name", FIRST)
def test_descends_rosenbrock(name):
    """100 (y - x^2)^2 + (1 - x)^2 from (-1.2, 1), where it is 24.2; its valley is reached and followed."""
    point = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = build(name, [("p", point)], lr=ROSENBROCK_RATES[name])
    base = [group["lr"] for group in optimiser.param_groups]
    rate = schedule("linear", total_steps=3000)
    for step in range(3000):
        for group, lr in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = lr * rate(step)
        optimiser.zero_grad()
        x, y = point
        value = 100 * (y - x**2) ** 2 + (1 - x) ** 2
        value.backward()
        optimiser.step()
    assert value.item() < 0.3


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.PReLU(6), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(24, 3))
    return net.to(memory_format=torch.channels_last)


def train(net, optimiser, steps, first=0):
    for step in range(first, first + steps):
        x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        net(x).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("name", FIRST)
def test_resumes_bit_equal(name):
    options = {"lr": NETWORK_RATES[name], "weight_decay": 0.01}
    whole = network()
    train(whole, build(name, whole.named_parameters(), **options), 6)
    half = network()
    optimiser = build(name, half.named_parameters(), **options)
    train(half, optimiser, 3)
    file = io.BytesIO()
    torch.save({"model": half.state_dict(), "optimizer": optimiser.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = network()
    resumed.load_state_dict(saved["model"])
    optimiser = build(name, resumed.named_parameters(), **options)
    optimiser.load_state_dict(saved["optimizer"])
    train(resumed, optimiser, 3, first=3)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", FIRST)
def test_closure_gives_the_loss(name):
    weight = nn.Parameter(torch.ones(2, 2))
    optimiser = build(name, [("w", weight)], lr=NETWORK_RATES[name])

    def closure():
        optimiser.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == 4.0
    assert weight.square().sum() < 4.0


def train_step(optimiser, graph):
    """Make a step of a second-order method; `graph` returns the loss and the outputs that it was computed from."""

    def gradients():
        optimiser.zero_grad()
        loss, _ = graph()
        loss.backward()
        return loss

    if not isinstance(optimiser, Newton):
        return optimiser.step(gradients)
    return optimiser.step(graph if optimiser.curvature == "gauss_newton" else lambda: graph()[0])


@pytest.mark.parametrize("name", SECOND)
def test_second_order_converges_on_a_quadratic(name):
    torch.manual_seed(0)
    weight, target = nn.Parameter(torch.randn(4, 4)), torch.randn(4, 4)
    optimiser = build(name, [("w", weight)])
    scales = torch.tensor([1.0, 2.0, 4.0, 8.0])

    def graph():
        error = weight - target
        return (scales * error**2).sum(), error

    for _ in range(40):
        train_step(optimiser, graph)
    assert graph()[0].item() < 1e-8
    assert optimiser.status.evaluations > 0


@pytest.mark.parametrize("name", SECOND)
def test_second_order_solves_rosenbrock(name):
    """As least squares of (10 (y - x^2), 1 - x), whose Gauss-Newton matrix is of use. DFP crawls: it corrects a bad D slowly."""
    point = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = build(name, [("p", point)])

    def graph():
        x, y = point
        errors = torch.stack([10 * (y - x**2), 1 - x])
        return errors.square().sum(), errors

    for _ in range(100):
        train_step(optimiser, graph)
    assert graph()[0].item() < (5e-3 if name == "dfp" else 1e-10)


@pytest.mark.parametrize("name", SECOND)
def test_second_order_resumes_bit_equal(name):
    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))

    def train(net, optimiser, steps, first=0):
        for step in range(first, first + steps):
            x = torch.randn(32, 5, generator=torch.Generator().manual_seed(step // 3))

            def graph(x=x):
                y = net(x)
                return (y - x[:, :3].sin()).square().mean(), y

            train_step(optimiser, graph)

    whole = network()
    train(whole, build(name, whole.named_parameters()), 6)
    half = network()
    optimiser = build(name, half.named_parameters())
    train(half, optimiser, 3)
    file = io.BytesIO()
    torch.save({"model": half.state_dict(), "optimizer": optimiser.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = network()
    resumed.load_state_dict(saved["model"])
    optimiser = build(name, resumed.named_parameters())
    optimiser.load_state_dict(saved["optimizer"])
    train(resumed, optimiser, 3, first=3)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", SECOND)
def test_second_order_refuses_weight_decay_and_a_missing_closure(name):
    weight = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(
        InputError, match=r"weight_decay: must be 0 for an optimiser that searches along a line, got 0\.1; put"
    ):
        build(name, [("w", weight)], weight_decay=0.1)
    with pytest.raises(InputError, match="closure"):
        build(name, [("w", weight)]).step()


@pytest.mark.parametrize("name", SECOND)
def test_second_order_calls_on_gradient_once_a_step_before_anything_moves(name):
    weight = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64))
    optimiser, records = build(name, [("w", weight)]), []

    def graph():
        squares = weight**2
        return squares.square().sum() + squares.sum(), squares

    def gradients():
        optimiser.zero_grad()
        loss, _ = graph()
        loss.backward()
        return loss

    closure = gradients
    if isinstance(optimiser, Newton):
        closure = graph if optimiser.curvature == "gauss_newton" else lambda: graph()[0]
    for _ in range(3):
        before = weight.detach().clone()
        optimiser.step(closure, on_gradient=lambda: records.append((weight.detach().clone(), weight.grad.clone())))
        ((at, gradient),) = records
        records.clear()
        assert torch.equal(at, before)
        torch.testing.assert_close(gradient, 4 * before**3 + 2 * before)
        assert not torch.equal(weight, before)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "muon"])
def test_sparse_gradients_are_refused(name):
    table = nn.Embedding(4, 3, sparse=True)
    optimiser = build(name, table.named_parameters(), lr=NETWORK_RATES[name])
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises((RuntimeError, ValueError), match="sparse"):
        optimiser.step()


@pytest.mark.parametrize("technique", list(OPTIMISERS), ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
    assert technique.qualified_name.startswith(("seewhy.optim.", "torch.optim."))
    assert pkgutil.resolve_name(technique.qualified_name)
