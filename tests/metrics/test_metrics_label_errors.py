"""Confident learning against its definition written out, and on labels that were made wrong."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.metrics import suspicious_labels


def cases(seed, K=4, n=300, wrong=0.1):
    generator = torch.Generator().manual_seed(seed)
    true = torch.randint(0, K, (n,), generator=generator)
    logits = torch.randn(n, K, generator=generator)
    logits[torch.arange(n), true] += 3
    labels = true.clone()
    changed = torch.rand(n, generator=generator) < wrong
    labels[changed] = (true[changed] + 1) % K
    return logits.softmax(1), labels, true, changed


def test_it_is_the_off_diagonal_of_the_confident_joint():
    probabilities, labels, _, _ = cases(0)
    p, y = probabilities.tolist(), labels.tolist()
    means = [sum(row[k] for row, label in zip(p, y, strict=True) if label == k) / y.count(k) for k in range(4)]
    expected = {}
    for i, row in enumerate(p):
        able = [k for k in range(4) if row[k] >= means[k]]
        best = max(able, key=lambda k: row[k], default=y[i])
        if best != y[i]:
            expected[i] = best
    found = suspicious_labels(probabilities, labels)
    assert {each.row: each.suggested for each in found} == expected
    assert [each.margin for each in found] == sorted((each.margin for each in found), reverse=True)
    assert all(each.given == y[each.row] for each in found)


def test_wrong_labels_are_found_and_right_ones_are_not():
    probabilities, labels, true, changed = cases(1)
    found = suspicious_labels(probabilities, labels)
    rows = torch.tensor([each.row for each in found])
    assert changed[rows].float().mean() > 0.8
    assert changed[rows].sum() / changed.sum() > 0.7
    assert not suspicious_labels(torch.eye(4)[true], true)


def test_a_class_without_images_is_never_suggested():
    probabilities = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    assert [each.suggested for each in suspicious_labels(probabilities, torch.tensor([0, 0, 1]))] == []
    with pytest.raises(InputError, match="at least 1 image"):
        suspicious_labels(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
