"""What classifiers are trained for, against its formula."""

import torch
from torch.nn import functional as F

from seewhy.models.classifiers.objective import cross_entropy
from seewhy.models.family import Inputs


def inputs(labels, targets=None):
    return Inputs(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), labels, labels if targets is None else targets)


def test_smoothed_loss_is_its_formula():
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 5, dtype=torch.float64), torch.randint(0, 5, (7,))
    target = 0.8 * F.one_hot(labels, 5) + 0.2 / 5
    expected = -(target * torch.log(logits.exp() / logits.exp().sum(1, keepdim=True))).sum(1).mean()
    result = cross_entropy(logits, inputs(labels), label_smoothing=0.2)
    torch.testing.assert_close(result.loss, expected)
    torch.testing.assert_close(result.sums["loss"].double(), 7 * F.cross_entropy(logits, labels), rtol=1e-6, atol=0)
    assert result.sums["accuracy"] == (logits.argmax(1) == labels).sum()
    assert result.count == 7


def test_the_loss_against_mixed_targets_is_the_mean_of_both():
    torch.manual_seed(0)
    logits, first, second = torch.randn(6, 4), torch.randint(0, 4, (6,)), torch.randint(0, 4, (6,))
    weight = torch.rand(6)
    targets = weight[:, None] * F.one_hot(first, 4) + (1 - weight[:, None]) * F.one_hot(second, 4)
    each = [F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none") for labels in (first, second)]
    expected = (weight * each[0] + (1 - weight) * each[1]).mean()
    torch.testing.assert_close(cross_entropy(logits, inputs(first, targets), label_smoothing=0.1).loss, expected)
