"""Networks on a few training images: where they overfit, what is against it can be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seewhy.comparison.claims.fitting import accuracy, best_rate, first_below, fit, mean_loss
from seewhy.comparison.claims.setting import Examples, Setting
from seewhy.core.seeding import rng
from seewhy.data import Augment
from seewhy.models import Classifier, ClassifierDesign, build_classifier

Make = Callable[[int], nn.Module]
"""From a seed to a classifier of uint8 images."""


def subset(setting: Setting, images: int, seed: int) -> tuple[Examples, Examples]:
    """Return training images that the seed chooses, all where there are no more; and for testing the test images with those not chosen."""
    train, test = setting.train, setting.test
    order = torch.randperm(len(train), generator=rng(seed, "claims", "subset"))
    few, rest = order[:images], order[images:]
    return (
        Examples(train.pixels[few], train.x[few], train.y[few]),
        Examples(
            torch.cat([test.pixels, train.pixels[rest]]),
            torch.cat([test.x, train.x[rest]]),
            torch.cat([test.y, train.y[rest]]),
        ),
    )


def stored(examples: Examples) -> Tensor:
    """Return the images as they are stored, uint8 (N, C, H, W)."""
    return (examples.pixels * 255.0).round().to(torch.uint8)


def classifier(setting: Setting, name: str, *, seed: int, design: ClassifierDesign) -> Classifier:
    """Return a classifier of uint8 images whose weights the seed decides."""
    net = build_classifier(
        name, in_shape=setting.in_shape, classes=setting.classes, rng=rng(seed, "claims", "weights"), design=design
    )
    std, mean = torch.std_mean(setting.train.pixels, dim=(0, 2, 3))
    return Classifier(net, mean.tolist(), std.tolist())


class Augmented(nn.Module):
    """A classifier whose images are changed at random in training.

    Args:
        classifier: of uint8 images.
        augment: what changes them.
        seed: of the changes.
    """

    def __init__(self, classifier: Classifier, augment: Augment, seed: int) -> None:
        super().__init__()
        self.classifier, self.augment, self.seed, self.calls = classifier, augment, seed, 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of uint8 images (N, C, H, W)."""
        if self.training:
            images = self.augment(images, torch.arange(len(images)), seed=self.seed, epoch=self.calls)
            self.calls += 1
        logits: Tensor = self.classifier(images)
        return logits


@dataclass
class Generalisation:
    """What networks do on the images they were fitted to, and on unseen ones, in eval mode and without augmentation: by seed.

    Attributes:
        gap: accuracy on the training images minus on the unseen ones.
        accuracy: on the unseen images.
        steps: until the loss on the training images was at the target; the number of all steps where it never was.
        rate: that was chosen on the validation images.
    """

    gap: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """How every condition is trained.

    Attributes:
        images: of the training images.
        steps: of batch 64.
        rates: to choose from.
        target: of the training loss, for `Generalisation.steps`; None where it is not asked for.
        tuning: seeds on which rates are chosen.
        optimizer: of all.
    """

    images: int
    steps: int
    rates: tuple[float, ...]
    target: float | None = None
    tuning: int = 1
    optimizer: str = "momentum"


def generalise(setting: Setting, conditions: Mapping[str, Make], training: Training) -> dict[str, Generalisation]:
    """Train every condition with the rate that is best for it, and measure it on both sets of images."""
    found = {}
    val = stored(setting.val)
    for name, make in conditions.items():

        def score(rate: float, seed: int, make: Make = make) -> float:
            net = make(seed)
            few, _ = subset(setting, training.images, seed)
            fit(
                net, stored(few), few.y, steps=training.steps, lr=rate, seed=seed, optimizer=training.optimizer
            )  # fmt: skip
            return mean_loss(net, val, setting.val.y)

        result = found[name] = Generalisation(rate=best_rate(training.rates, score, seeds=training.tuning))
        for seed in range(setting.seeds):
            net, (few, test) = make(seed), subset(setting, training.images, seed)
            x, unseen = stored(few), stored(test)

            def training_loss(_: int, net: nn.Module = net, x: Tensor = x, y: Tensor = few.y) -> float:
                return mean_loss(net, x, y)

            fitted = fit(
                net, x, few.y, steps=training.steps, lr=result.rate, seed=seed, every=5,
                optimizer=training.optimizer,
                observe=training_loss if training.target is not None else None,
            )  # fmt: skip
            if training.target is not None:
                reached = first_below(fitted.seen, training.target)
                result.steps.append(float(training.steps if reached is None else reached))
            result.accuracy.append(accuracy(net, test, unseen))
            result.gap.append(accuracy(net, few, x) - result.accuracy[-1])
    return found


def rates_in_words(found: Mapping[str, Generalisation]) -> str:
    """Return the chosen rates as text."""
    return ", ".join(f"{result.rate:g} for {name}" for name, result in found.items())
