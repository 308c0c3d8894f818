"""C23: DropConnect, fractional max-pooling and stochastic depth reduce the gap too; stochastic depth also saves training time."""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import Training, classifier, generalise, rates_in_words, stored, subset
from seewhy.models import Choice, ClassifierDesign, Regularisers
from seewhy.reporting.claim_records import Dots

RATES = (0.003, 0.01)
IMAGES = 200
SKIPPED = 0.5

PAIRS = {
    "DropConnect": (
        "mlp",
        ClassifierDesign(norm="none", width=64, depth=2),
        ClassifierDesign(norm="none", width=64, depth=2, regularisers=Regularisers(dropconnect=0.5)),
    ),
    "fractional max-pooling": (
        "convnet",
        ClassifierDesign(width=8, depth=2),
        ClassifierDesign(width=8, depth=2, pool=Choice("fractional")),
    ),
    "stochastic depth": (
        "resnet",
        ClassifierDesign(width=8, depth=2),
        ClassifierDesign(width=8, depth=2, regularisers=Regularisers(stochastic_depth=SKIPPED)),
    ),
}
"""By technique: the network, its design without it and with it."""


def measure(setting: Setting) -> Measured:
    """Train each network with and without its technique, and time the steps of the residual one."""
    gaps: dict[str, tuple[float, ...]] = {}
    accuracies: dict[str, tuple[float, ...]] = {}
    chosen = []
    for name, (net, without, with_it) in PAIRS.items():
        training = Training(
            images=IMAGES, steps=setting.amount(600 if net == "mlp" else 250, 5), rates=RATES, optimizer="adam"
        )
        designs = {f"plain {net}": without, f"{net} with {name}": with_it}
        found = generalise(
            setting, {label: partial(_network, setting, net, design) for label, design in designs.items()}, training
        )
        chosen.append(rates_in_words(found))
        gaps |= {label: tuple(result.gap) for label, result in found.items()}
        accuracies |= {label: tuple(result.accuracy) for label, result in found.items()}
    return Measured(
        criteria=(
            *(
                Criterion(
                    text=f"{name} reduces the gap",
                    measure=f"(accuracy on training - on unseen images) of a {net} with it, minus without",
                    values=tuple(a - b for a, b in zip(gaps[f"{net} with {name}"], gaps[f"plain {net}"], strict=True)),
                    high=0.0,
                )
                for name, (net, _, _) in PAIRS.items()
            ),
            Criterion(
                text="stochastic depth saves training time",
                measure="processor time of a training step, with / without, medians of alternating blocks",
                values=tuple(_time_ratio(setting, seed) for seed in range(setting.seeds)),
                high=1.0,
                kind="ratio",
            ),
        ),
        experiment=f"{IMAGES} training images, Adam, batch 64; weights dropped with p = 0.5, pooling by sqrt(2) instead of 2, the last of four "
        f"residual blocks skipped with p = {SKIPPED:g}. Rates chosen on the validation images: {'; '.join(chosen)}. "
        "Fractional pooling has fixed regions in evaluation. Times are of this machine.",
        figure=Dots(y="accuracy on training minus on unseen images", groups=gaps, line=0.0),
        remarks=(
            *(
                (f"accuracy on unseen images, {name}", f"{100 * sum(values) / len(values):.2f}%")
                for name, values in accuracies.items()
            ),
            ("residual blocks", "4 here; Huang et al. skip among 54, over 500 epochs"),
        ),
    )


def _network(setting: Setting, name: str, design: ClassifierDesign, seed: int) -> nn.Module:
    return classifier(setting, name, seed=seed, design=design)


def _time_ratio(setting: Setting, seed: int) -> float:
    """Return the time of a step with stochastic depth / without it."""
    name, without, with_it = PAIRS["stochastic depth"]
    few, _ = subset(setting, 64, seed)
    x, y = stored(few), few.y
    nets = [_network(setting, name, design, seed) for design in (without, with_it)]
    times: list[list[float]] = [[], []]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for block in range(setting.amount(9, 3)):
            for net, own in zip(nets, times, strict=True):
                start = time.process_time()
                for _ in range(setting.amount(10, 2)):
                    net.zero_grad()
                    F.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]
                if block:  # the first one warms up
                    own.append(time.process_time() - start)
    plain, skipping = (sorted(own)[len(own) // 2] for own in times)
    return skipping / plain


CLAIM = Claim(
    code="C23",
    title="DropConnect, fractional pooling, stochastic depth",
    sentence="DropConnect, fractional max-pooling and stochastic depth each reduce the gap; stochastic depth also saves training time.",
    source="Wan et al. 2013: MNIST 0.21% error by an ensemble with DropConnect. "
    "Graham 2014 (1412.6071): CIFAR-10 3.47% with fractional pooling averaged over 100 passes. "
    "Huang et al. 2016 (1603.09382): CIFAR-10 6.41% to 5.25% with 110 layers, and a quarter of the training time saved at p_L = 1/2.",
    measure=measure,
    timed=True,
)
