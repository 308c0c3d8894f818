"""All figures at once: which pictures each is of, and what it is held against."""

import json

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.training.fidelity.distances import frechet_distance
from seewhy.training.fidelity.extractor import Extractor, Reading, pixels
from seewhy.training.fidelity.measure import measure, spaced
from seewhy.training.fidelity.neighbours import precision_recall
from seewhy.training.fidelity.parzen import parzen


def pictures(n, seed, low=0):
    return torch.randint(low, 256, (n, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def halves(images):
    """Features and the classes of a recogniser that tells dark from bright by the first pixel."""
    bright = (images[:, 0, 0, 0] >= 128).float()
    return Reading(images.flatten(1)[:, 1:].float(), torch.stack([1 - bright, bright], 1))


DARK_OR_BRIGHT = Extractor("first pixel, 3 features", halves)


def test_each_figure_is_of_its_own_pictures():
    drawn, train, held_out = pictures(40, 0, low=128), pictures(60, 1), pictures(30, 2)
    found = measure(DARK_OR_BRIGHT, drawn, train, held_out, counts=[30, 30])
    features = [halves(spaced(images, 30)).features for images in (held_out, drawn, train)]
    name = DARK_OR_BRIGHT.name
    assert found.drawn.frechet == frechet_distance(features[0], features[1], extractor=name)
    assert found.yardstick.frechet == frechet_distance(features[0], features[2], extractor=name)
    assert found.drawn.precision_recall == precision_recall(features[0], features[1], extractor=name)
    assert found.drawn.frechet.fid > 3 * found.yardstick.frechet.fid
    assert found.drawn.density_coverage.coverage < found.yardstick.density_coverage.coverage
    assert (found.memorisation.n_drawn, found.memorisation.n_train, found.memorisation.n_held_out) == (40, 60, 30)
    assert found.memorisation_in_pixels.extractor == "pixels, 4 features"
    assert found.classes.collapsed
    assert found.classes.shares == (0.0, 1.0)
    said = json.loads(json.dumps(found.to_json()))
    assert said["drawn"]["kernel"]["extractor"] == said["classes"]["recogniser"] == name


def test_windows_are_chosen_on_pictures_that_are_not_measured():
    drawn, train, held_out, validation = (pictures(size, seed) for seed, size in enumerate((40, 60, 30, 25)))
    found = measure(DARK_OR_BRIGHT, drawn, train, held_out, counts=[30, 30], validation=validation)
    assert found.parzen == parzen(drawn, validation, held_out)
    assert found.parzen_yardstick == parzen(spaced(train, 40), validation, held_out)
    found = measure(DARK_OR_BRIGHT, drawn, train, held_out, counts=[30, 30])
    rest = torch.stack([image for place, image in enumerate(held_out) if place % 10])
    assert found.parzen == parzen(drawn, held_out[::10], rest)
    assert found.to_json()["parzen"]["n_test"] == 27


def test_copies_are_seen():
    train, held_out = pictures(60, 1), pictures(30, 2)
    found = measure(DARK_OR_BRIGHT, train[:20], train, held_out, counts=[30, 30])
    assert found.memorisation.ratio == found.memorisation_in_pixels.ratio == 0.0


def test_an_extractor_without_classes_counts_none():
    found = measure(pixels((1, 2, 2)), pictures(20, 0), pictures(20, 1), pictures(20, 2), counts=[])
    assert found.classes is None
    assert found.to_json()["classes"] is None


def test_rows_are_spread_evenly():
    assert spaced(torch.arange(10), 4).tolist() == [0, 2, 5, 7]
    assert spaced(torch.arange(4), 4).tolist() == [0, 1, 2, 3]


def test_too_few_pictures_are_named():
    with pytest.raises(InputError, match="held_out: must be at least 10 pictures, got 9"):
        measure(DARK_OR_BRIGHT, pictures(20, 0), pictures(20, 1), pictures(9, 2), counts=[1, 1])
