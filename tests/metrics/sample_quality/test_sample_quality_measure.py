"""All figures at once: which images each is of, what it is compared with, and how people read it."""

import json
from dataclasses import replace

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.metrics import (
    FeatureExtractor,
    Features,
    format_sample_quality,
    frechet_distance,
    measure_sample_quality,
    parzen_likelihood,
    pixel_features,
    precision_recall,
)
from seewhy.metrics.sample_quality.measure import evenly_spaced


def images(n, seed, low=0):
    return torch.randint(low, 256, (n, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def dark_or_bright(images):
    """Features and the predictions of a classifier of dark and bright by the first pixel."""
    bright = (images[:, 0, 0, 0] >= 128).float()
    return Features(images.flatten(1)[:, 1:].float(), torch.stack([1 - bright, bright], 1))


EXTRACTOR = FeatureExtractor("first pixel, 3 features", dark_or_bright)


def test_pixels_are_features():
    colour = torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    extractor = pixel_features((3, 8, 8))
    assert extractor.name == "pixels, 192 features"
    features = extractor.features(colour)
    torch.testing.assert_close(features.values, colour.reshape(9, -1) / 255)
    assert features.probabilities is None


def test_each_figure_is_of_its_own_images():
    generated, train, held_out = images(40, 0, low=128), images(60, 1), images(30, 2)
    quality = measure_sample_quality(EXTRACTOR, generated, train, held_out, class_counts=[30, 30])
    features = [dark_or_bright(evenly_spaced(split, 30)).values for split in (held_out, generated, train)]
    name = EXTRACTOR.name
    assert quality.generated.frechet == frechet_distance(features[0], features[1], extractor=name)
    assert quality.reference.frechet == frechet_distance(features[0], features[2], extractor=name)
    assert quality.generated.precision_recall == precision_recall(features[0], features[1], extractor=name)
    assert quality.generated.frechet.fid > 3 * quality.reference.frechet.fid
    assert quality.generated.density_coverage.coverage < quality.reference.density_coverage.coverage
    memorisation = quality.memorisation
    assert (memorisation.n_generated, memorisation.n_train, memorisation.n_held_out) == (40, 60, 30)
    assert quality.memorisation_in_pixels.extractor == "pixels, 4 features"
    assert quality.classes.collapsed
    assert quality.classes.shares == (0.0, 1.0)
    figures = json.loads(json.dumps(quality.to_json()))
    assert figures["generated"]["kernel"]["extractor"] == figures["classes"]["classifier"] == name
    assert figures["reference"]["frechet"]["fid"] == quality.reference.frechet.fid


def test_bandwidths_are_chosen_on_images_that_are_not_measured():
    generated, train, held_out, validation = (images(size, seed) for seed, size in enumerate((40, 60, 30, 25)))
    quality = measure_sample_quality(
        EXTRACTOR, generated, train, held_out, class_counts=[30, 30], validation=validation
    )
    assert quality.parzen == parzen_likelihood(generated, validation, held_out)
    assert quality.parzen_reference == parzen_likelihood(evenly_spaced(train, 40), validation, held_out)
    quality = measure_sample_quality(EXTRACTOR, generated, train, held_out, class_counts=[30, 30])
    rest = torch.stack([image for position, image in enumerate(held_out) if position % 10])
    assert quality.parzen == parzen_likelihood(generated, held_out[::10], rest)
    assert quality.to_json()["parzen"]["n_test"] == 27


def test_copies_show():
    train, held_out = images(60, 1), images(30, 2)
    quality = measure_sample_quality(EXTRACTOR, train[:20], train, held_out, class_counts=[30, 30])
    assert quality.memorisation.ratio == quality.memorisation_in_pixels.ratio == 0.0


def test_an_extractor_without_classes_counts_none():
    quality = measure_sample_quality(
        pixel_features((1, 2, 2)), images(20, 0), images(20, 1), images(20, 2), class_counts=[]
    )
    assert quality.classes is None
    assert quality.to_json()["classes"] is None
    assert "Classes covered" not in dict(format_sample_quality(quality))


def test_people_read_the_figures_beside_those_of_real_images():
    quality = measure_sample_quality(
        EXTRACTOR, images(40, 0, low=128), images(60, 1), images(30, 2), class_counts=[30, 30]
    )
    rows = dict(format_sample_quality(quality))
    assert rows["Features"] == "first pixel, 3 features"
    assert rows["Generated, real images"] == "30, 30"
    fid, reference = quality.generated.frechet.fid, quality.reference.frechet.fid
    assert rows["FID"] == f"{fid:.2f} (real images: {reference:.2f})"
    assert "standard error" not in rows["KID"]  # one block has none
    assert rows["Nearest training image"].startswith(f"{quality.memorisation_in_pixels.ratio:.3f} times as far")
    assert rows["Parzen windows in pixels"].endswith(f"(training images: {quality.parzen_reference.nats:.0f})")
    assert rows["Classes covered"] == "1 of 2: mode collapse"
    modes, real = quality.modes, quality.modes_reference
    assert rows["Modes, k-means of pixels"] == (
        f"{modes.covered} of 3 bins of training images covered (held-out images: {real.covered}), "
        f"{modes.different} statistically different (held-out images: {real.different}, by chance 0.15)"
    )
    assert "Samples" not in rows
    assert dict(format_sample_quality(replace(quality, sampling="by hand")))["Samples"] == "by hand"


def test_modes_are_counted_without_an_extractor():
    train, held_out = images(200, 1), images(100, 2)
    collapsed = train[:1].expand(100, -1, -1, -1)
    quality = measure_sample_quality(pixel_features((1, 2, 2)), collapsed, train, held_out, class_counts=[])
    modes, real = quality.modes, quality.modes_reference
    assert (modes.bins, modes.n, modes.n_train, modes.extractor) == (10, 100, 200, "pixels, 4 features")
    assert (modes.covered, real.covered) == (1, 10)
    assert modes.different > 5 > real.different
    assert quality.to_json()["modes"]["covered"] == 1
    assert quality.to_json()["modes_reference"] == real.to_json()


def test_rows_are_spread_evenly():
    assert evenly_spaced(torch.arange(10), 4).tolist() == [0, 2, 5, 7]
    assert evenly_spaced(torch.arange(4), 4).tolist() == [0, 1, 2, 3]


def test_too_few_images_are_named():
    with pytest.raises(InputError, match="held_out: must be at least 10 images, got 9"):
        measure_sample_quality(EXTRACTOR, images(20, 0), images(20, 1), images(9, 2), class_counts=[1, 1])
