"""Networks of a user's, for the tests."""

from torch import nn


def small(shape, classes):
    """Return a small network with batch normalisation."""
    channels, _, _ = shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def wrong_logits(shape, classes):
    """Return a network with a class too many."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes + 1))


def no_module(shape, classes):
    """Return no network."""
    return classes


def failing(shape, classes):
    """Fail."""
    raise KeyError("channels")
