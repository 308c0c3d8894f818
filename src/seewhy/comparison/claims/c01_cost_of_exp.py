"""C01: the exponential in sigmoid, tanh and ELU costs time that ReLU saves."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.fitting import mlp
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.nn import activation
from seewhy.reporting.claim_records import Dots

NAMES = {"ReLU": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "ELU": "elu"}
CHANNELS, BATCH = 32, 128


def measure(setting: Setting) -> Measured:
    """Measure the processor time of each function by itself, forward and backward, and of a training step around it."""
    alone: dict[str, list[float]] = {name: [] for name in NAMES}
    steps: dict[str, list[float]] = {name: [] for name in NAMES}
    for seed in range(setting.seeds):
        values = _pre_activations(setting, seed)
        functions = {name: _function(NAMES[name], values) for name in NAMES}
        for name, seconds in alternated(functions, setting.amount(100, 3)).items():
            alone[name].append(seconds)
        networks = {name: _step(setting, NAMES[name], seed) for name in NAMES}
        for name, seconds in alternated(networks, setting.amount(100, 3)).items():
            steps[name].append(seconds)
    ratios = {name: paired(alone, name, "ReLU") for name in NAMES if name != "ReLU"}
    whole = {name: paired(steps, name, "ReLU") for name in NAMES if name != "ReLU"}
    per_value = 1e9 * statistics.fmean(alone["ReLU"]) / values.numel()
    return Measured(
        criteria=(
            *(
                Criterion(
                    text=f"{name} takes longer than ReLU",
                    measure=f"processor time of {name} / ReLU, forward and backward",
                    values=ratios[name],
                    low=1.0,
                    kind="ratio",
                )
                for name in ratios
            ),
            *(
                Criterion(
                    text=f"a training step with {name} takes longer than with ReLU",
                    measure=f"processor time of a whole step, {name} / ReLU",
                    values=whole[name],
                    low=1.0,
                    kind="ratio",
                )
                for name in whole
            ),
        ),
        experiment=f"{values.numel():,} pre-activations of a random convolution over {BATCH} training images; a training step of a "
        "perceptron "
        "with 2 hidden layers of 64 units, batch 64. They take turns; the least processor time of one thread counts.",
        figure=Dots(y="processor time / that of ReLU", groups=_groups(ratios, whole), line=1.0, log=True),
        remarks=(("ReLU", f"{per_value:.2g} ns a value, forward and backward"),),
    )


def _groups(
    alone: Mapping[str, tuple[float, ...]], whole: Mapping[str, tuple[float, ...]]
) -> dict[str, tuple[float, ...]]:
    return {**alone, **{f"{name}, a whole step": values for name, values in whole.items()}}


def alternated(functions: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return the least processor time of each function, in seconds; they take turns, so that a busy moment meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            begun = time.process_time()
            function()
            seconds[name].append(time.process_time() - begun)
    return {name: min(values) for name, values in seconds.items()}


def _pre_activations(setting: Setting, seed: int) -> Tensor:
    weight = torch.randn(CHANNELS, setting.in_shape[0], 3, 3, generator=rng(seed, "claims", "C01"))
    images = setting.train.x[:BATCH]
    values = F.conv2d(images, weight / math.sqrt(weight[0].numel()), padding=1)
    return values.repeat(max(1, 65_536 // values.numel()), 1, 1, 1)


def _function(name: str, values: Tensor) -> Callable[[], None]:
    function, x, upstream = (
        activation(name, features=CHANNELS),
        values.clone().requires_grad_(),
        torch.ones_like(values),
    )

    def call() -> None:
        torch.autograd.grad(function(x), x, upstream)

    return call


def _step(setting: Setting, name: str, seed: int) -> Callable[[], None]:
    net: nn.Module = mlp(setting, seed=seed, activation=name)
    x, y = setting.train.x[:64], setting.train.y[:64]

    def call() -> None:
        for _ in range(5):
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]

    return call


CLAIM = Claim(
    code="C01",
    title="The exponential costs time that ReLU saves",
    sentence="The exponential in sigmoid, tanh and ELU costs time, which ReLU saves.",
    source="Krizhevsky et al. 2012 and the notes praise ReLU for being cheap; neither gives a figure for the function alone. "
    "What an exponential costs is a matter of the processor and of the library: vector instructions have made it cheap since.",
    measure=measure,
    timed=True,
)
