"""Cross-entropies whose rows do not count alike, against the losses that made the gradients."""

import pytest
import torch
import torch.nn.functional as F

from seewhy.diagnosis.logits import read_logits

ROWS = 48


def drawn(classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(ROWS, classes, generator=generator)
    return (
        z.requires_grad_(),
        torch.randint(classes, (ROWS,), generator=generator),
        0.2 + torch.rand(classes, generator=generator),
    )


def focal(z, y, exponent=2.0):
    p = F.softmax(z, 1).gather(1, y[:, None])[:, 0]
    return -((1 - p) ** exponent * p.log()).mean()


def read(z, loss):
    (g,) = torch.autograd.grad(loss, z)
    return read_logits(z, g)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_class_weights_are_read(classes, reduction, sign):
    z, y, w = drawn(classes)
    loss = F.cross_entropy(z, y, weight=w)
    found = read(z, sign * F.cross_entropy(z, y, weight=w, reduction=reduction))
    assert found.loss == pytest.approx(loss.item(), rel=1e-4)
    assert found.labels == tuple(y.bincount(minlength=classes).tolist())
    assert found.weights == pytest.approx((w / w[y].mean()).tolist(), rel=1e-3)
    assert found.scale == pytest.approx(sign * (w[y].mean().item() if reduction == "sum" else 1 / ROWS), rel=1e-3)
    assert found.focus == 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_a_focal_loss_is_read(classes, exponent, sign):
    z, y, _ = drawn(classes)
    found = read(z, sign * focal(z, y, exponent))
    assert (found.focus, found.weights) == (exponent, None)
    assert found.loss == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-4)
    assert found.scale == pytest.approx(sign / ROWS, rel=1e-3)
    assert found.labels == tuple(y.bincount(minlength=classes).tolist())


def test_rows_that_are_surely_right_are_rows_all_the_same():
    z, y, w = drawn(4)
    with torch.no_grad():
        z[:20].scatter_add_(1, y[:20, None], torch.full((20, 1), 30.0))
    found = read(z, F.cross_entropy(z, y, weight=w))
    assert found.labels == tuple(y.bincount(minlength=4).tolist())
    assert found.loss == pytest.approx(F.cross_entropy(z, y, weight=w).item(), rel=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y, r: (r * F.cross_entropy(z, y, reduction="none")).mean(),  # rewards, or weights by image
        lambda z, y, r: (r.abs() * F.cross_entropy(z, y, reduction="none")).mean(),
        lambda z, y, r: (1 - F.softmax(z, 1).gather(1, y[:, None]) ** 0.7).mean(),
        lambda z, y, r: -F.softmax(z, 1).gather(1, y[:, None]).mean(),
        lambda z, y, r: F.multi_margin_loss(z, y),
        lambda z, y, r: (1 - (2 * y - 1) * (z[:, 0] - z[:, 1])).clamp_min(0).mean(),
    ],
)
@pytest.mark.parametrize("classes", [2, 5])
def test_other_scales_are_not_taken_for_weights(classes, loss):
    z, y, _ = drawn(classes)
    rewards = torch.randn(ROWS, generator=torch.Generator().manual_seed(1))
    assert read(z, loss(z, y, rewards)) is None


def test_logits_that_are_all_alike_tell_no_weights():
    z, y = torch.zeros(ROWS, 2).requires_grad_(), torch.arange(ROWS) % 2
    assert read(z, (1 - (2 * y - 1) * (z[:, 1] - 3 * z[:, 0])).clamp_min(0).mean()) is None
