"""C22: crops, flips and jitter reduce the gap between training and test images."""

from __future__ import annotations

from functools import partial

from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import Augmented, Training, classifier, generalise, rates_in_words
from seewhy.data import Augment
from seewhy.reporting.claim_records import Dots

RATES = (0.03, 0.1)
IMAGES = 100


def measure(setting: Setting) -> Measured:
    """Train without augmentation, and with each kind alone."""
    training = Training(images=IMAGES, steps=setting.amount(250, 10), rates=RATES, tuning=setting.amount(2, 1))
    shift = max(1, min(setting.in_shape[1:]) // 8)
    augments = {
        "none": None,
        f"crops, {shift} {'pixel' if shift == 1 else 'pixels'}": Augment(crop_padding=shift),
        "flips": Augment(flip="random"),
        "jitter, 40%": Augment(brightness=0.4, contrast=0.4),
    }
    found = generalise(
        setting, {name: partial(_network, setting, augment) for name, augment in augments.items()}, training
    )
    none = found["none"]
    reduced = {
        name: tuple(a - b for a, b in zip(result.gap, none.gap, strict=True))
        for name, result in found.items()
        if name != "none"
    }
    return Measured(
        criteria=tuple(
            Criterion(
                text=f"{name.split(',')[0]} reduce the gap" if name != "jitter, 40%" else "jitter reduces the gap",
                measure=f"(accuracy on training - on unseen images) with {name}, minus without",
                values=values,
                high=0.0,
            )
            for name, values in reduced.items()
        ),
        experiment=f"Convolutional network (width 16, two groups) on {IMAGES} training images, {training.steps} steps of momentum, batch 64; "
        "both accuracies are of images as they are; jitter is of brightness and contrast. "
        f"Rates chosen on the validation images: {rates_in_words(found)}.",
        figure=Dots(
            y="accuracy on training minus on unseen images",
            groups={name: tuple(result.gap) for name, result in found.items()},
            line=0.0,
        ),
        remarks=(
            *(
                (f"accuracy on unseen images, {name}", f"{100 * sum(result.accuracy) / len(result.accuracy):.2f}%")
                for name, result in found.items()
            ),
            ("digits and flips", "a mirrored digit is another sign, or none: flips suit photographs, not digits"),
        ),
    )


def _network(setting: Setting, augment: Augment | None, seed: int) -> nn.Module:
    from seewhy.models import ClassifierDesign

    net = classifier(setting, "convnet", seed=seed, design=ClassifierDesign(width=16, depth=2))
    return net if augment is None else Augmented(net, augment, seed)


CLAIM = Claim(
    code="C22",
    title="Augmentation reduces the gap",
    sentence="Random crops, horizontal flips and colour jitter reduce the gap between training and test images.",
    source="Krizhevsky et al. 2012: without crops and flips the network overfits so much that a smaller one would be needed; "
    "changing the colours lowers the top-1 error by more than a point. The images there are photographs.",
    measure=measure,
)
