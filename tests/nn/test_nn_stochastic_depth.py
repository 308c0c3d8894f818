"""Stochastic depth: skipped branches are not computed, survival decays linearly, evaluation is the mean."""

import math

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import StochasticDepth, survival_rates


class Counted(nn.Module):
    """A branch that counts the images that it sees."""

    def __init__(self):
        super().__init__()
        self.linear, self.count = nn.Linear(3, 3), 0

    def forward(self, x):
        self.count += len(x)
        return self.linear(x)


def test_survival_decays_to_the_last():
    assert survival_rates(4, 0.5) == [0.875, 0.75, 0.625, 0.5]
    assert survival_rates(3, 1.0) == [1.0, 1.0, 1.0]
    saved = 1 - sum(survival_rates(54, 0.5)) / 54
    assert saved == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("mode", ["batch", "row"])
def test_skipped_branches_cost_nothing(mode):
    torch.manual_seed(0)
    branch, depth, x = Counted(), StochasticDepth(0.6, mode=mode), torch.randn(10, 3)
    for _ in range(400):
        depth(x, branch, x)
    share = branch.count / 4000
    assert abs(share - 0.6) < 4 * math.sqrt(0.24 / (400 if mode == "batch" else 4000))
    if mode == "batch":
        assert branch.count % 10 == 0


def test_a_skipped_branch_has_no_gradient_and_the_shortcut_keeps_its_own():
    branch, depth = Counted(), StochasticDepth(1e-9)
    x = torch.randn(4, 3, requires_grad=True)
    y = depth(x, branch, x)
    assert torch.equal(y, x)
    y.sum().backward()
    assert branch.linear.weight.grad is None
    assert torch.equal(x.grad, torch.ones(4, 3))


@pytest.mark.parametrize("mode", ["batch", "row"])
def test_evaluation_is_the_mean_over_coins(mode):
    torch.manual_seed(0)
    branch, depth, x = Counted(), StochasticDepth(0.7, mode=mode), torch.randn(5, 3)
    with torch.no_grad():
        samples = torch.stack([depth(x, branch, x) for _ in range(4000)])
        expected = x + 0.7 * branch(x)
        torch.testing.assert_close(depth.eval()(x, branch, x), expected)
    assert ((samples.mean(0) - expected).abs() < 5 * samples.std(0) / math.sqrt(4000) + 1e-6).all()


def test_rows_have_coins_of_their_own_and_exact_gradients():
    branch, depth = nn.Linear(3, 3).double(), StochasticDepth(0.5, mode="row")
    x = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)

    def fixed(x):
        torch.manual_seed(2)
        return depth(x, branch, x)

    change = (fixed(x) - x).detach()
    skipped = (change == 0).all(1)
    assert 2 < skipped.sum() < 10
    torch.testing.assert_close(change[~skipped], branch(x)[~skipped])
    assert torch.autograd.gradcheck(fixed, (x,))


def test_surviving_always_is_the_plain_sum():
    branch, depth, x = Counted(), StochasticDepth(1.0), torch.randn(5, 3)
    torch.testing.assert_close(depth(x, branch, x), x + branch.linear(x))
    assert not depth.state_dict()


class Block(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.branch, self.depth = nn.Conv2d(4, 4, 3, padding=1), StochasticDepth(0.5, mode=mode)

    def forward(self, x):
        return self.depth(x, self.branch, x)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", ["batch", "row"])
def test_contract(mode, training):
    torch.manual_seed(0)
    block, copy = Block(mode).train(training), Block(mode).train(training)
    copy.load_state_dict(block.state_dict())
    x = torch.randn(8, 4, 5, 5).contiguous(memory_format=torch.channels_last)
    torch.compiler.reset()
    compiled = torch.compile(copy, backend="eager", fullgraph=True)
    for seed in range(4):
        torch.manual_seed(seed)
        y = block(x)
        assert y.is_contiguous(memory_format=torch.channels_last)
        torch.manual_seed(seed)
        torch.testing.assert_close(compiled(x), y)
    exported = torch.export.export(block, (x,)).module()
    torch.manual_seed(1)
    y = block(x)
    torch.manual_seed(1)
    torch.testing.assert_close(exported(x), y)
    assert block.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert copy(x).shape == x.shape


def test_numbers_and_names_out_of_range_are_refused():
    with pytest.raises(InputError, match="survival: must be more than 0 and at most 1, got 0"):
        StochasticDepth(0.0)
    with pytest.raises(InputError, match=r"mode: 'rows' is not known; .*did you mean 'row'"):
        StochasticDepth(0.5, mode="rows")
    with pytest.raises(InputError, match="last: must be more than 0 and at most 1, got 0"):
        survival_rates(3, 0.0)
    with pytest.raises(InputError, match="count: must be at least 1, got 0"):
        survival_rates(0, 0.5)
