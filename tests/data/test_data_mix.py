"""Mixup and CutMix: partners, shares, images and targets."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.data.augmentation.mix import Mix, symmetric_beta


def batch(count, shape=(3, 9, 8), *, seed=0):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=random)
    return images.contiguous(memory_format=torch.channels_last), torch.arange(count), torch.arange(count) * 7 + 1


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha):
    weight = symmetric_beta(torch.arange(8000), alpha, seed=0, epoch=0)
    assert weight.min() >= 0
    assert weight.max() <= 1
    bounds = np.array([0, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1 - 1e-4, 1])
    expected = 8000 * np.diff(stats.beta.cdf(bounds, alpha, alpha))
    counts = np.histogram(weight.double().numpy(), bounds)[0]
    enough = expected > 5
    rest = [[values[~enough].sum()] if not enough.all() else [] for values in (counts, expected)]
    pairs = [np.concatenate([values[enough], more]) for values, more in zip((counts, expected), rest, strict=True)]
    assert stats.chisquare(*pairs).pvalue > 0.001


def test_shares_differ_between_images_epochs_and_seeds():
    sample_ids = torch.arange(4000)
    first = symmetric_beta(sample_ids, 1.0, seed=0, epoch=0)
    others = [
        symmetric_beta(sample_ids, 1.0, seed=1, epoch=0),
        symmetric_beta(sample_ids, 1.0, seed=0, epoch=1),
        first.roll(1),
    ]
    for other in others:
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.06


@pytest.mark.parametrize("shape", [(3, 9, 8), (1, 5, 5)])
def test_mixup_blends_each_image_with_its_partner_and_rounds(shape):
    images, labels, sample_ids = batch(20, shape)
    mixed = Mix(alpha=1.0)(images, labels, sample_ids, seed=0, epoch=3)
    assert mixed.images.dtype == torch.uint8
    assert mixed.images.is_contiguous(memory_format=torch.channels_last)
    for i in range(20):
        share, other = float(mixed.weight[i]), images[int(mixed.labels_b[i])]
        exact = share * images[i].double() + (1 - share) * other.double()
        assert (mixed.images[i].double() - exact).abs().max() <= 0.5001
    assert torch.equal(mixed.labels_a, labels)


def test_cutmix_pastes_a_window_of_the_partner_and_counts_what_is_left():
    images, labels, sample_ids = batch(200)
    images = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 9, 8)
    mixed = Mix(alpha=1.0, kind="cutmix")(images, labels, sample_ids, seed=0, epoch=0)
    own, other = mixed.images[:, 0] == labels.view(-1, 1, 1), mixed.images[:, 0] == mixed.labels_b.view(-1, 1, 1)
    assert torch.all(own ^ other)
    assert torch.allclose(own.double().mean(dim=(1, 2)), mixed.weight.double(), atol=1e-6)
    rows, columns = other.any(2), other.any(1)
    assert torch.equal(other, rows[:, :, None] & columns[:, None, :])  # a product of rows and columns ...
    assert ((rows[:, 1:] & ~rows[:, :-1]).sum(1) + rows[:, 0]).max() == 1  # ... each in one run
    assert ((columns[:, 1:] & ~columns[:, :-1]).sum(1) + columns[:, 0]).max() == 1


def test_cutmix_windows_have_the_expected_area():
    images, labels, sample_ids = batch(1000, (1, 64, 64))
    weight = Mix(alpha=1.0, kind="cutmix")(images, labels, sample_ids, seed=0, epoch=0).weight
    # A side s = sqrt(1 - lambda) loses s^2 / 4 beyond the border on average; rounding down takes a little more.
    assert abs((1 - weight).mean() - (1 / 2 - 1 / 5 + 1 / 48)) < 0.04


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_mixture_belongs_to_the_images_whatever_their_order_in_the_batch(kind):
    images, labels, sample_ids = batch(12)
    mix = Mix(alpha=0.5, kind=kind)
    first = mix(images, labels, sample_ids, seed=2, epoch=1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    again = mix(images[order], labels[order], sample_ids[order], seed=2, epoch=1)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one[order], other)
    other = mix(images, labels, sample_ids, seed=2, epoch=2)
    assert not torch.equal(first.labels_b, other.labels_b)
    assert not torch.equal(first.weight, other.weight)


def test_partners_are_a_permutation_without_a_fixed_point():
    images, labels, sample_ids = batch(17)
    for epoch in range(20):
        partners = Mix()(images, labels, sample_ids, seed=0, epoch=epoch).labels_b
        assert torch.equal(partners.sort().values, labels)
        assert not torch.any(partners == labels)
    alone = Mix()(images[:1], labels[:1], sample_ids[:1], seed=0, epoch=0)
    assert torch.equal(alone.images, images[:1])


def test_targets_give_the_loss_of_the_two_labels():
    images, labels, sample_ids = batch(10)
    mixed = Mix(alpha=1.0)(images, labels, sample_ids, seed=0, epoch=0)
    logits = torch.randn(10, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = (F.cross_entropy(logits, y, reduction="none") for y in (mixed.labels_a, mixed.labels_b))
    expected = (mixed.weight * first + (1 - mixed.weight) * second).mean()
    targets = mixed.targets(12)
    assert torch.allclose(targets.sum(dim=1), torch.ones(10))
    assert torch.allclose(F.cross_entropy(logits, targets.double()), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha: must be above 0 and finite, got 0.0"),
        ({"kind": "mixupp"}, "kind: 'mixupp' is not known; allowed: mixup, cutmix; did you mean 'mixup'?"),
    ],
)
def test_bad_choices_are_refused(options, message):
    with pytest.raises(InputError) as caught:
        Mix(**options)
    assert str(caught.value) == message
