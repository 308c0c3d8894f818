"""What people may write for classes, numbers and temperatures."""

import math

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.generative import labels_for, labels_in_turn, sample


def test_classes_are_named_by_names_and_numbers_of_any_kind(make_trained):
    trained = make_trained("gan", conditional=True)
    expected = torch.tensor([7, 1])
    for label in ([7, 1], expected, np.array([7, 1]), (np.int64(7), torch.tensor(1)), ["7", 1]):
        assert torch.equal(labels_for(trained, label, 2), expected)
    for label in (7, "7", np.int64(7), torch.tensor(7), [7]):
        assert labels_for(trained, label, 3).tolist() == [7, 7, 7]
    assert labels_for(trained, None, 12).tolist() == [*range(10), 0, 1]
    assert labels_in_turn(trained, 12).tolist() == [*range(10), 0, 1]


def test_a_model_that_is_not_conditional_has_no_labels(make_trained):
    trained = make_trained("gan")
    assert labels_for(trained, None, 5) is None
    assert labels_in_turn(trained, 5) is None
    with pytest.raises(InputError, match=r"label: .* is not class-conditional, got 3; leave it out") as error:
        labels_for(trained, 3, 5)
    assert str(trained.folder) in str(error.value)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("seven", "label: 'seven' is not known"),
        ("\u00b2", "label: '\u00b2' is not known"),
        (10, "label: must be a class name, or a number from 0 to 9, got 10"),
        (-1, "label: must be a class name, or a number from 0 to 9, got -1"),
        (1.5, r"label: must be a class name, or a number from 0 to 9, got 1\.5"),
        (True, "label: must be a class name, or a number from 0 to 9, got True"),
        ([1, 2], "label: must be one class, or one for each of 3 images"),
    ],
)
def test_other_classes_are_refused(make_trained, label, message):
    with pytest.raises(InputError, match=message):
        sample(make_trained("gan", conditional=True), 3, label=label)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n: must be at least 1, got 0"),
        ({"n": 2.5}, r"n: must be a whole number, got 2\.5"),
        ({"n": True}, "n: must be a whole number, got True"),
        ({"n": 10**20}, "n: must be at most 1,000,000, got 1000"),
        ({"n": 2, "temperature": -1.0}, "temperature: must be at least 0, got -1.0"),
        ({"n": 2, "temperature": "warm"}, "temperature: must be at least 0, got 'warm'"),
        ({"n": 2, "temperature": math.nan}, "temperature: must be at least 0, got nan"),
        ({"n": 2, "temperature": math.inf}, "temperature: must be at least 0, got inf"),
        ({"n": 2, "temperature": True}, "temperature: must be at least 0, got True"),
    ],
)
def test_other_numbers_are_refused(make_trained, options, message):
    with pytest.raises(InputError, match=message):
        sample(make_trained("gan"), **options)


@pytest.mark.parametrize("name", ["pixelcnn", "row_lstm", "autoencoder", "vae", "gan"])
def test_equal_seeds_give_equal_images(make_trained, name):
    trained = make_trained(name)
    first, again, other = (sample(trained, 6, seed=seed) for seed in (3, 3, 4))
    assert first.shape == (6, 1, 8, 8)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    if name == "vae":
        assert len(sample(trained, 4, temperature=np.float32(0.0)).unique(dim=0)) == 1
