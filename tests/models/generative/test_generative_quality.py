"""Sample quality: what is compared with what."""

from dataclasses import replace

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.core.seeding import rng
from seewhy.metrics import FeatureExtractor, Features, measure_sample_quality, pixel_features
from seewhy.models.family import implementation_of
from seewhy.models.generative import evenly_spaced, sample_quality


@pytest.fixture
def many(digits, all_digits):
    """With 110 validation and 120 test images."""
    val, test = (all_digits.splits[name].take(torch.arange(count)) for name, count in (("val", 110), ("test", 120)))
    return replace(digits, val=val, test=test)


def counting(images):
    return Features(images.flatten(1).float(), torch.eye(10)[images.flatten(1).sum(1) % 10])


def test_pixels_are_compared_where_no_extractor_is_given(make_trained, many):
    trained = make_trained("gan", conditional=True)
    quality = sample_quality(trained, many, n=100, seed=3)
    rows = torch.randint(300, (100,), generator=rng(3, "classes"))
    expected = measure_sample_quality(
        pixel_features((1, 8, 8)),
        trained.model.sample(100, many.train.labels[rows], rng=rng(3, "sample")),
        many.train.images(torch.arange(300)),
        many.test.images(evenly_spaced(120, 100)),
        class_counts=[30] * 10,
        validation=many.val.images(torch.arange(110)),
    )
    assert quality.to_json() == expected.to_json()
    assert quality.classes is None
    assert quality.generated.frechet.n_generated == 100


def test_classes_are_counted_by_an_extractor_of_the_same_ones(make_trained, many):
    trained, extractor = make_trained("gan"), FeatureExtractor("sums, 64 features", counting)
    known = sample_quality(trained, many, extractor=extractor, n=100)
    turned = sample_quality(trained, many, extractor=extractor, classes=trained.classes[::-1], n=100)
    other = sample_quality(trained, many, extractor=extractor, classes=[f"c{k}" for k in range(10)], n=100)
    assert known.classes.classes == turned.classes.classes == 10
    assert other.classes is None
    assert other.generated == known.generated


def test_autoregressive_models_are_compared_in_their_levels(make_trained, many):
    trained, seen = make_trained("pixelcnn", levels=2), []
    extractor = FeatureExtractor("all, 64 features", lambda images: seen.append(images) or counting(images))
    implementation_of(trained.spec).verbs["sample_quality"](trained, many, extractor=extractor, n=100)
    assert [set(images.unique().tolist()) for images in seen] == [{0, 255}] * 3


def test_too_few_images_are_refused(make_trained, digits, many):
    trained = make_trained("gan")
    for dataset, options, message in (
        (many, {"n": 99}, "n: must be at least 100, for figures that mean something, got 99"),
        (many, {"n": 200.0}, r"n: must be a whole number, got 200\.0"),
        (digits, {"n": 100}, "digits: has 70 held-out images; at least 100 are needed"),
    ):
        with pytest.raises(InputError, match=message):
            sample_quality(trained, dataset, **options)
