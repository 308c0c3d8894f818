"""Figures of an ensemble beside its members' against their formulas."""

import itertools
import json

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.metrics import by_number, classification_metrics, ensemble_metrics, log_loss, mutual_information
from seewhy.metrics import ensembles as module

CLASSES = ("a", "b", "c")


@pytest.fixture
def predictions():
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (50,), generator=rng)
    logits = torch.randn(4, 50, 3, generator=rng)
    logits[:, torch.arange(50), labels] += 0.7
    return logits.softmax(2), labels


def figures_of(members, labels):
    pooled = classification_metrics("test", CLASSES, members.mean(0), labels)
    return ensemble_metrics("test", CLASSES, members, labels, pooled)


def test_gain_and_its_interval_are_those_of_the_paired_differences(predictions):
    members, labels = predictions
    figures = figures_of(members, labels)
    single = [row["accuracy"] for row in figures["members"]]
    pooled = (members.mean(0).argmax(1) == labels).double().mean().item()
    assert figures["gain"] == pytest.approx(pooled - np.mean(single), abs=1e-6)
    per_image = [
        float(members.mean(0)[i].argmax() == labels[i]) - np.mean([float(p[i].argmax() == labels[i]) for p in members])
        for i in range(50)
    ]
    half = 1.959964 * np.std(per_image, ddof=1) / np.sqrt(50)
    assert figures["gain_interval"] == pytest.approx([figures["gain"] - half, figures["gain"] + half], abs=1e-6)


def test_disagreement_is_the_mean_mutual_information_by_outcome(predictions):
    members, labels = predictions
    figures = json.loads(json.dumps(figures_of(members, labels)))
    information, correct = mutual_information(members), members.mean(0).argmax(1) == labels
    assert figures["disagreement"] == pytest.approx(information.mean().item())
    assert figures["disagreement_right"] == pytest.approx(information[correct].mean().item())
    assert figures["disagreement_wrong"] == pytest.approx(information[~correct].mean().item())
    certain = torch.nn.functional.one_hot(labels, 3).float().expand(2, -1, -1)
    assert figures_of(certain, labels)["disagreement_wrong"] is None


def test_figures_by_number_are_means_over_subsets(predictions):
    members, labels = predictions
    rows = by_number(members, labels)
    assert [row["members"] for row in rows] == [1, 2, 3, 4]
    pairs = [log_loss(members[list(pair)].mean(0), labels) for pair in itertools.combinations(range(4), 2)]
    assert rows[1]["log_loss"] == pytest.approx(np.mean(pairs))
    assert rows[0]["log_loss"] > rows[-1]["log_loss"]


def test_of_many_subsets_the_same_ones_are_sampled_each_time(predictions, monkeypatch):
    members, labels = predictions
    exact = by_number(members, labels)
    monkeypatch.setattr(module, "MAX_SUBSETS", 3)
    rows = by_number(members, labels)
    assert rows == by_number(members, labels)
    assert rows[-1] == exact[-1]
    assert rows[1]["log_loss"] == pytest.approx(exact[1]["log_loss"], abs=0.2)


def test_members_of_another_shape_are_refused(predictions):
    members, labels = predictions
    with pytest.raises(InputError, match=r"members: must be \(M, N, K\), M at least 1"):
        ensemble_metrics(
            "test", CLASSES, members[0], labels, classification_metrics("test", CLASSES, members[0], labels)
        )
