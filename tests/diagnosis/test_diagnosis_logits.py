"""What the gradient at the outputs tells, against the loss that made it."""

import math

import pytest
import torch
import torch.nn.functional as F

from seewhy.diagnosis.logits import read_binary, read_logits

GENERATOR = torch.Generator().manual_seed(0)


def outputs(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=GENERATOR).to(dtype).requires_grad_()


def labels(high, *shape):
    return torch.randint(high, shape, generator=GENERATOR)


def gradient(z, loss):
    (g,) = torch.autograd.grad(loss, z)
    return g


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_a_cross_entropy_is_read_whole(classes, reduction, smoothing):
    z, y = outputs(32, classes), labels(classes, 32)
    loss = F.cross_entropy(z, y, reduction=reduction, label_smoothing=smoothing)
    read = read_logits(z, gradient(z, loss))
    assert read.loss == pytest.approx(loss.item() / (32 if reduction == "sum" else 1), rel=1e-3)
    assert read.scale == pytest.approx(1 if reduction == "sum" else 1 / 32, rel=1e-3)
    assert read.smoothing == pytest.approx(smoothing, abs=1e-3)
    assert read.accuracy == pytest.approx(float((z.argmax(1) == y).float().mean()))
    assert read.labels == tuple(torch.bincount(y, minlength=classes).tolist())
    assert read.predicted == tuple(torch.bincount(z.argmax(1), minlength=classes).tolist())
    assert (read.rows, read.classes, read.probabilities, read.rows_differ) == (32, classes, False, True)


def test_accumulation_and_a_scaler_only_change_the_scale():
    z, y = outputs(16, 5), labels(5, 16)
    loss = F.cross_entropy(z, y)
    read = read_logits(z, gradient(z, loss / 4 * 65536))
    assert read.scale == pytest.approx(65536 / 4 / 16, rel=1e-3)
    assert read.loss == pytest.approx(loss.item(), rel=1e-3)


@pytest.mark.parametrize("factor", [-1.0, -2.0, -0.5, -0.37])
def test_a_sign_too_many_is_read_whatever_the_loss_is_multiplied_by(factor):
    z, y = outputs(16, 5), labels(5, 16)
    loss = F.cross_entropy(z, y)
    read = read_logits(z, gradient(z, factor * loss))
    assert read.scale == pytest.approx(factor / 16, rel=1e-3)
    assert read.loss == pytest.approx(loss.item(), rel=1e-3)
    assert read.labels == tuple(torch.bincount(y, minlength=5).tolist())


def test_half_precision_is_read_too():
    z, y = outputs(64, 10, dtype=torch.bfloat16), labels(10, 64)
    loss = F.cross_entropy(z, y)
    read = read_logits(z, gradient(z, loss))
    assert read.loss == pytest.approx(loss.item(), rel=0.02)
    assert read.labels == tuple(torch.bincount(y, minlength=10).tolist())


@pytest.mark.parametrize("shape", [(4, 5, 6, 6), (4, 5, 12)])
def test_pixels_and_positions_are_rows(shape):
    z, y = outputs(*shape), labels(5, shape[0], *shape[2:])
    loss = F.cross_entropy(z, y)
    read = read_logits(z, gradient(z, loss))
    assert read.classes == 5
    assert read.loss == pytest.approx(loss.item(), rel=1e-3)


def test_classes_may_stand_last():
    z, y = outputs(4, 12, 7), labels(7, 4, 12)
    loss = F.cross_entropy(z.flatten(0, 1), y.flatten())
    read = read_logits(z, gradient(z, loss))
    assert (read.classes, read.rows) == (7, 48)
    assert read.loss == pytest.approx(loss.item(), rel=1e-3)


def test_rows_that_are_ignored_are_left_out():
    z, y = outputs(20, 4), labels(4, 20)
    y[::2] = -100
    loss = F.cross_entropy(z, y)
    read = read_logits(z, gradient(z, loss))
    assert read.rows == 10
    assert read.scale == pytest.approx(0.1, rel=1e-3)
    assert read.loss == pytest.approx(loss.item(), rel=1e-3)


def test_probabilities_before_the_loss_are_seen():
    p, y = torch.softmax(outputs(32, 6).detach(), 1).requires_grad_(), labels(6, 32)
    assert read_logits(p, gradient(p, F.cross_entropy(p, y))).probabilities
    assert read_logits(p, gradient(p, F.nll_loss(p.log(), y))) is None  # rightly used
    log_p = torch.log_softmax(outputs(32, 6).detach(), 1).requires_grad_()
    assert not read_logits(log_p, gradient(log_p, F.cross_entropy(log_p, y))).probabilities  # harmless


def test_the_entropy_is_that_of_the_labels():
    z, y = outputs(40, 3), torch.arange(40) % 2
    assert read_logits(z, gradient(z, F.cross_entropy(z, y))).entropy == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: F.mse_loss(z, F.one_hot(y, 5).float()),
        lambda z, y: F.binary_cross_entropy_with_logits(z, F.one_hot(y, 5).float()),
        lambda z, y: F.multi_margin_loss(z, y),
        lambda z, y: F.triplet_margin_loss(z, z.roll(1, 0).detach(), z.roll(2, 0).detach()),
        lambda z, y: z.square().sum(),
        lambda z, y: F.cross_entropy(z, F.softmax(torch.randn(32, 5, generator=GENERATOR), 1)),  # soft targets
        lambda z, y: 0 * z.sum(),
    ],
)
def test_other_losses_are_not_taken_for_it(loss):
    z, y = outputs(32, 5), labels(5, 32)
    assert read_logits(z, gradient(z, loss(z, y))) is None


def test_what_is_no_batch_of_outputs_tells_nothing():
    z = outputs(8)
    assert read_logits(z, torch.ones(8)) is None
    assert read_logits(torch.zeros(8, 3), torch.full((8, 3), math.nan)) is None
    assert read_logits(torch.zeros(8, 1), torch.ones(8, 1)) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_large_outputs_that_are_the_loss_are_no_sigmoids_of_sigmoids(sign):
    outputs = sign * (100 + 20 * torch.rand(54, generator=torch.Generator().manual_seed(0)))
    assert read_binary(outputs, torch.full((54,), 1 / 54)) is None
