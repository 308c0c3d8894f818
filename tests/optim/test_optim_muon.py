"""Muon against the formula written out, and what its orthogonalisation does to singular values."""

import numpy as np
import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim import Muon, build
from seewhy.optim.muon import orthogonalise


def newton_schulz(matrix, steps):
    """Through the singular values alone: sigma <- a sigma + b sigma^3 + c sigma^5, in float64."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.sqrt((values**2).sum())
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return (left * values) @ right


@pytest.mark.parametrize("shape", [(8, 8), (6, 30), (30, 6), (1, 5)])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_orthogonalise_acts_on_singular_values_alone(shape, steps):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalise(matrix, steps)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), newton_schulz(matrix.double().numpy(), steps), atol=1e-4)


def test_five_steps_bring_all_singular_values_near_one():
    matrix = torch.randn(64, 256, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -1.5, 64)[:, None]
    values = torch.linalg.svdvals(orthogonalise(matrix, 5))
    assert 0.6 < values.min() < values.max() < 1.3


def test_steps_equal_the_formula():
    torch.manual_seed(0)
    lr, rho = 0.1, 0.7
    filters = nn.Parameter(torch.randn(6, 3, 2, 2))
    vector = nn.Parameter(torch.randn(5))
    optimiser = Muon(
        [{"params": [filters]}, {"params": [vector], "lr": 0.02, "weight_decay": 0.1}], lr=lr, momentum=rho
    )
    target = torch.randn(6, 3, 2, 2)
    w, b = filters.detach().double().numpy(), vector.detach().double().numpy()
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    for _ in range(5):
        optimiser.zero_grad()
        (((filters - target) ** 2).sum() + (vector**4).sum()).backward()
        optimiser.step()
        gw, gb = 2 * (w - target.double().numpy()), 4 * b**3
        vw, vb = rho * vw + gw, rho * vb + gb
        uw, ub = gw + rho * vw, gb + rho * vb
        w = w * np.sqrt(6) / np.linalg.norm(w)
        w = w - lr * newton_schulz(uw.reshape(6, -1), 3).reshape(w.shape)
        b = (1 - 0.02 * 0.1) * b - 0.02 * ub / np.sqrt((ub**2).mean())
    np.testing.assert_allclose(vector.detach().numpy(), b, rtol=1e-4)
    np.testing.assert_allclose(filters.detach().numpy(), w, atol=1e-4)


def test_groups_of_a_network():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 4))
    optimiser = build("muon", net.named_parameters(), lr=0.2, momentum=0.5, weight_decay=0.01)
    hidden, vectors, output = optimiser.param_groups
    assert [id(p) for p in hidden["params"]] == [id(net[0].weight), id(net[2].weight)]
    assert [id(p) for p in output["params"]] == [id(net[4].weight)]
    assert len(vectors["params"]) == 5
    assert [group["orthogonal"] for group in optimiser.param_groups] == [True, False, False]
    assert hidden["lr"] == 0.2
    assert hidden["momentum"] == 0.5
    assert vectors["lr"] == pytest.approx(0.25 * 0.2)
    assert output["lr"] == pytest.approx(1.2 / 8 * 0.2)
    assert output["lr"] * output["weight_decay"] == pytest.approx(0.2 * 0.01)


def test_steps_do_not_depend_on_the_scale_of_the_loss():
    def after(scale):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        optimiser = build("muon", net.named_parameters(), lr=0.24)
        for _ in range(3):
            optimiser.zero_grad()
            (net(torch.ones(2, 4)).square().sum() * scale).backward()
            optimiser.step()
        return torch.cat([p.detach().flatten() for p in net.parameters()])

    torch.testing.assert_close(after(1.0), after(1024.0), atol=1e-4, rtol=1e-4)


def test_a_vanished_gradient_moves_nothing():
    weight, vector = nn.Parameter(torch.eye(3)), nn.Parameter(torch.ones(3))
    optimiser = Muon([{"params": [weight]}, {"params": [vector]}], lr=0.1)
    weight.grad, vector.grad = torch.zeros(3, 3), torch.zeros(3)
    optimiser.step()
    torch.testing.assert_close(weight.detach(), torch.eye(3))
    assert torch.equal(vector.detach(), torch.ones(3))


def test_zero_weights_stay_finite():
    weight = nn.Parameter(torch.zeros(3, 4))
    optimiser = Muon([weight], lr=0.1)
    weight.grad = torch.randn(3, 4)
    optimiser.step()
    assert torch.isfinite(weight).all()


def test_vectors_cannot_be_orthogonal():
    with pytest.raises(InputError, match="must hold matrices only"):
        Muon([{"params": [nn.Parameter(torch.ones(3))], "orthogonal": True}], lr=0.1)
    with pytest.raises(InputError, match="steps: must be at least 1, got 0"):
        Muon([nn.Parameter(torch.ones(3, 3))], lr=0.1, steps=0)
