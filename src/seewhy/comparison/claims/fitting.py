"""One plain training loop for all claims, and the choice of a rate, which every condition gets on the same terms."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.comparison.claims.setting import Examples, Setting
from seewhy.core.seeding import derive, rng
from seewhy.nn import Activation, init_
from seewhy.optim import build

LARGEST = 1e6
"""A loss that is not finite, or larger than this, counts as this: it has diverged."""

SMALLEST = 1e-6
"""A loss below this counts as this: the images are fitted."""

TUNING = 10_000
"""Seeds from here on are those on which rates are chosen; results never come from them."""


@dataclass
class Fit:
    """What a training gave.

    Attributes:
        losses: of every step's batch, before the step; short where the training has diverged.
        seen: what `observe` returned, as (step, value); the step counts those before.
        diverged: whether a loss was not finite or above `LARGEST`.
    """

    losses: list[float] = field(default_factory=list)
    seen: list[tuple[int, Any]] = field(default_factory=list)
    diverged: bool = False

    def last(self, share: float = 0.1) -> float:
        """Return the median loss of the last steps, which a few outliers do not decide; `LARGEST` where it has diverged."""
        count = max(1, int(len(self.losses) * share))
        return LARGEST if self.diverged else max(SMALLEST, statistics.median(self.losses[-count:]))

    def steps_to(self, target: float, most: int, *, over: int = 20) -> int:
        """Return the step at which the running mean of the loss, over about so many steps, is at a target for the first time.

        Where it never is: `most`, or `LARGEST` where the training has diverged.
        """
        recent = 0.0
        for step, loss in enumerate(self.losses, start=1):
            recent += (loss - recent) / min(step, over)
            if recent <= target and step >= over:
                return step
        return int(LARGEST) if self.diverged else most

    def lateness(self, target: float, most: int) -> float:
        """Return `steps_to`, and where the target was missed a fraction more, which grows with the last loss and tells rates apart."""
        steps = self.steps_to(target, most)
        return steps + (self.last() / (1.0 + self.last()) if steps == most else 0.0)


def told_missed(steps: Mapping[str, Sequence[float]], most: int) -> str:
    """Say how many runs of each condition have missed a target, " (...)", or nothing where all reached it."""
    missed = {name: sum(each >= most for each in runs) for name, runs in steps.items()}
    said = [f"{count} of {len(steps[name])} runs of {name}" for name, count in missed.items() if count]
    return f" (missed by {', '.join(said)}, which count as all {most:,} steps)" if said else ""


def fit(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    lr: float,
    seed: int,
    optimizer: str = "momentum",
    batch: int | None = 64,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    observe: Callable[[int], Any] | None = None,
    every: int = 1,
    until: Callable[[Any], bool] | None = None,
    **options: Any,
) -> Fit:
    """Train a network in place, and return what was seen on the way.

    Args:
        net: from a batch of x to outputs.
        x: (N, ...).
        y: (N), targets.
        steps: at most.
        lr: constant.
        seed: of the order of the examples, and of whatever the network draws.
        optimizer: one of `seewhy.optim.OPTIMISERS`, with its `options`.
        batch: examples of a step; None for all.
        loss: of outputs and targets.
        observe: called with the number of steps before each `every`-th step and after the last; what it returns is kept.
        every: see there.
        until: of what was observed: whether to stop.
        options: of the optimiser.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "claims", "network") % 2**31)
        return _fit(
            net, build(optimizer, net.named_parameters(), lr=lr, **options),
            batches(x, y, batch, seed), steps, loss, observe, every, until,
        )  # fmt: skip


def _fit(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    examples: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    loss: Callable[[Tensor, Tensor], Tensor],
    observe: Callable[[int], Any] | None,
    every: int,
    until: Callable[[Any], bool] | None,
) -> Fit:
    fitted = Fit()
    for step in range(steps + 1):
        if observe is not None and (step % every == 0 or step == steps):
            fitted.seen.append((step, observe(step)))
            if until is not None and until(fitted.seen[-1][1]):
                break
        if step == steps:
            break
        x, y = next(examples)

        def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
            optimizer.zero_grad()
            value = loss(net(x), y)
            value.backward()  # type: ignore[no-untyped-call]
            return value

        value = float(cast("Tensor", optimizer.step(closure)).detach())  # type: ignore[arg-type]
        if not value < LARGEST:
            fitted.diverged = True
            break
        fitted.losses.append(value)
    return fitted


def batches(x: Tensor, y: Tensor, batch: int | None, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end, in an order that the seed alone decides; all examples each time where `batch` is None."""
    if batch is None or batch >= len(y):
        while True:
            yield x, y
    source = rng(seed, "claims", "order")
    while True:
        order = torch.randperm(len(y), generator=source)
        for at in range(0, len(y) - batch + 1, batch):
            rows = order[at : at + batch]
            yield x[rows], y[rows]


def mlp(
    setting: Setting,
    *,
    seed: int,
    activation: Activation | str = "relu",
    depth: int = 2,
    width: int = 64,
    init: str = "he",
    norm: str = "none",
    **options: Any,
) -> nn.Module:
    """Return a multilayer perceptron whose weights the seed decides: equal draws for equal shapes.

    Args:
        setting: whose images it is for.
        seed: of the weights.
        activation, depth, width, init, norm: as in `seewhy.models.ClassifierDesign`.
        options: of the initialisation.
    """
    from seewhy.models import Choice, ClassifierDesign, build_classifier

    design = ClassifierDesign(activation=activation, depth=depth, width=width, init=Choice(init, options), norm=norm)
    return build_classifier(
        "mlp", in_shape=setting.in_shape, classes=setting.classes, rng=rng(seed, "claims", "weights"), design=design
    )


def dense(
    sizes: Sequence[int], *, seed: int, activation: str = "relu", init: str = "he", **options: Any
) -> nn.Sequential:
    """Return linear layers of these sizes with activations between them; weights as in `mlp`."""
    from seewhy.models import seeded_weights
    from seewhy.nn import activation as make

    source = rng(seed, "claims", "weights")
    with seeded_weights(source):
        layers: list[nn.Module] = [nn.Flatten()]
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), make(activation, features=b)]
    net = nn.Sequential(*layers[:-1])
    init_(net, init, activation=activation, rng=source, **options)
    return net


@torch.no_grad()
def accuracy(net: nn.Module, examples: Examples, x: Tensor | None = None) -> float:
    """Return the share of images whose class is predicted, within 0 and 1; `x` replaces the images' own values."""
    net.eval()
    outputs = net(examples.x if x is None else x)
    net.train()
    return float((outputs.argmax(1) == examples.y).float().mean())


@torch.no_grad()
def mean_loss(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the cross-entropy in nats, `LARGEST` at most."""
    net.eval()
    value = float(F.cross_entropy(net(x), y))
    net.train()
    return value if value < LARGEST else LARGEST


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a condition is trained: all but the rate and the seed.

    Attributes:
        make: from a seed to the network.
        steps: how many.
        optimizer: as in `fit`.
        batch: as in `fit`.
        options: of the optimiser.
    """

    make: Callable[[int], nn.Module]
    steps: int
    optimizer: str = "momentum"
    batch: int | None = 64
    options: Mapping[str, Any] = field(default_factory=dict)

    def train(self, setting: Setting, lr: float, seed: int, **watched: Any) -> tuple[nn.Module, Fit]:
        """Return a network trained on the training images, and its fit; `watched` as in `fit`, `observe` a function of network and step."""
        net = self.make(seed)
        observe = watched.pop("observe", None)
        if observe is not None:
            watched["observe"] = lambda step: observe(net, step)
        fitted = fit(
            net, setting.train.x, setting.train.y, steps=self.steps, lr=lr, seed=seed,
            optimizer=self.optimizer, batch=self.batch, **self.options, **watched,
        )  # fmt: skip
        return net, fitted

    def rate(
        self,
        setting: Setting,
        rates: Iterable[float],
        *,
        by: Literal["validation"] | Callable[[Fit], float] = "validation",
    ) -> float:
        """Return the rate with the lowest loss on the validation images at the end, or with the lowest figure of the fit."""

        def score(lr: float, seed: int) -> float:
            net, fitted = self.train(setting, lr, seed)
            if fitted.diverged:
                return LARGEST
            return mean_loss(net, setting.val.x, setting.val.y) if by == "validation" else by(fitted)

        return best_rate(rates, score)


def best_rate(rates: Iterable[float], score: Callable[[float, int], float], *, seeds: int = 1) -> float:
    """Return the rate with the lowest score, on average over seeds that are used for nothing else.

    Args:
        rates: the grid, the same for every condition of an experiment.
        score: of a rate and a seed; such as the loss on the validation images.
        seeds: how many.
    """
    return min(rates, key=lambda rate: math.fsum(score(rate, TUNING + k) for k in range(seeds)))


def first_below(seen: Sequence[tuple[int, float]], target: float) -> int | None:
    """Return the step at which a value was at most `target` for the first time; None where it never was."""
    return next((step for step, value in seen if value <= target), None)
