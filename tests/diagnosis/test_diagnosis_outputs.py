"""What outputs and their gradient tell where the loss is no cross-entropy of classes, against the loss that made the gradient."""

import pytest
import torch
import torch.nn.functional as F

from seewhy.diagnosis.outputs import Output, output_record

ROWS = 40


def drawn(columns=1):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(ROWS, columns, generator=generator)
    return z.requires_grad_(), torch.randint(2, (ROWS, columns), generator=generator).float()


def read(z, loss):
    (g,) = torch.autograd.grad(loss, z, retain_graph=True)
    return output_record(Output(z.detach(), "", None, None, None, 1), g, "", diverse=False)


@pytest.mark.parametrize("columns", [1, 3])
def test_a_binary_cross_entropy_is_told_from_one_that_is_maximised_and_one_of_a_sigmoid(columns):
    z, y = drawn(columns)
    right, twice = F.binary_cross_entropy_with_logits(z, y), F.binary_cross_entropy_with_logits(z.sigmoid(), y)
    assert (read(z, right).kind, read(z, right).flipped) == ("binary", False)
    assert (read(z, -right).kind, read(z, -right).flipped) == ("", True)
    assert read(z, twice).kind == "twice"
    assert read(z, twice).binary.positive == pytest.approx(y.mean().item())
    assert (read(z, F.mse_loss(z, y)).kind, read(z, F.mse_loss(z, y)).flipped) == ("", False)


def test_outputs_that_are_pushed_outwards_are_counted():
    z, y = drawn()
    assert read(z, -z.abs().mean()).outwards == 1
    assert read(z, z.abs().mean()).outwards == 0
    assert read(z, F.mse_loss(z, 1e4 + y)).outwards == pytest.approx(float((z > 0).float().mean()))
    far = (z + 5).detach().requires_grad_()
    assert read(far, F.mse_loss(far, 1e4 + y)).outwards == 0  # on the way to far targets
    assert read(z, F.l1_loss(z, y)).outwards == pytest.approx(float((z * (z - y) < 0).float().mean()))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("half", [1, 0.5])
def test_whole_targets_of_a_squared_error_are_read(half, reduction):
    z, _ = drawn()
    y = torch.arange(ROWS)[:, None] % 7
    assert read(z, half * F.mse_loss(z, y.float(), reduction=reduction)).whole == tuple(range(7))
    assert read(z, half * F.mse_loss(z, y + 0.3, reduction=reduction)).whole is None
    assert read(z, half * F.l1_loss(z, y.float(), reduction=reduction)).whole is None
