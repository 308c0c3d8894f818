"""A pre-activation resnet with strides on coloured digits: two parameter groups, milestones, evaluation amid the epoch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from held_out.base import Hand, Watcher, balanced, shuffled
from held_out.data import coloured


class Unit(nn.Module):
    """BN, ReLU, convolution, twice; the shortcut is a convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out = F.relu(self.bn1(x))
        short = x if self.short is None else self.short(out)
        return short + self.conv2(F.relu(self.bn2(self.conv1(out))))


class PreActResNet(nn.Module):
    """A stem, three units, norm, and a linear classifier."""

    def __init__(self, recompute: bool = False, zero: bool = False, stop: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1)
        self.units = nn.ModuleList([Unit(16, 16, 1), Unit(16, 32, 2), Unit(32, 48, 2)])
        self.bn = nn.BatchNorm2d(48)
        self.classifier = nn.Linear(48, 10)
        self.recompute, self.stop = recompute, stop
        if zero:
            for unit in self.units:
                nn.init.zeros_(unit.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.stem(x)
        for unit in self.units:
            x = checkpoint(unit, x, use_reentrant=False) if self.recompute else unit(x)
        x = F.relu(self.bn(x)).mean((2, 3))
        return self.classifier(x.data if self.stop else x)


def accuracy(model: nn.Module, x: Tensor, y: Tensor, switch: bool = True) -> float:
    was = model.training
    if switch:
        model.eval()
    with torch.no_grad():
        score = balanced(torch.cat([model(part).argmax(1) for part in x.split(25)]), y)
    model.train(was)
    return score


def groups(model: nn.Module, decay: float, heads_only: bool) -> list[dict[str, Any]]:
    """Norms and biases are not decayed."""
    chosen = model.classifier if heads_only else model
    some = [p for p in chosen.parameters() if p.dim() > 1]
    return [
        {"params": some, "weight_decay": decay},
        {"params": [p for p in chosen.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    optimizer: Any = None,
    lr: float = 0.05,
    momentum: float = 0.9,
    decay: float = 1e-3,
    iterations: int = 220,
    batch: int = 32,
    milestones: tuple[int, ...] = (120, 180),
    gamma: float = 0.3,
    feed: Any = lambda x: x,
    labels: Any = None,
    heads_only: bool = False,
    sum_loss: bool = False,
    clip: float = 0.0,
    switch: bool = True,
    swap: bool = False,
    reseed: bool = False,
    halve: bool = False,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = coloured(seed)
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    x, x_val = feed((x - mean) / std), feed((x_val - mean) / std)
    y = y if labels is None else labels(y)
    if not switch:
        order = y_val.argsort()
        x_val, y_val = x_val[order], y_val[order]
    model = PreActResNet(**(net or {}))
    made = groups(model, decay, heads_only)
    opt = optimizer(made) if optimizer else torch.optim.SGD(made, lr=lr, momentum=momentum)
    steps = torch.optim.lr_scheduler.MultiStepLR(opt, milestones, gamma)
    if swap:  # for the other data set, as the tutorial says
        model.classifier = nn.Linear(48, 10)
        model.stem.requires_grad_(False)
        model.units.requires_grad_(False)
    if halve:
        model.to(torch.bfloat16)
        x, x_val = x.bfloat16(), x_val.bfloat16()
    with watch(model, opt) as why:
        order, at = torch.randperm(len(x)), 0
        for i in range(iterations):
            if reseed:
                torch.manual_seed(seed)
            if at + batch > len(x) or reseed:
                order, at = torch.randperm(len(x)), 0
            rows = order[at : at + batch]
            at += batch
            loss = F.cross_entropy(model(x[rows]), y[rows], reduction="sum" if sum_loss else "mean")
            opt.zero_grad()
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_value_(model.parameters(), clip)
            opt.step()
            steps.step()
            if i % 60 == 59:
                why.observe(val_accuracy=accuracy(model, x_val[:200], y_val[:200], switch))
    return why, accuracy(model, x_val, y_val, switch)


HAND = Hand(
    "preact",
    train,
    {
        "optimiser of the head only": ("parameters_not_in_optimizer parameters_frozen", {"heads_only": True}),
        "head replaced after the optimiser": ("parameters_not_in_optimizer parameters_frozen", {"swap": True}),
        "detached before the head": ("parameters_unused parameters_frozen", {"net": {"stop": True}}),
        "loss is a sum": ("loss_is_a_sum learning_rate_too_high", {"sum_loss": True, "lr": 0.1}),
        "gradients clipped to nothing": ("gradients_clipped_away learning_rate_too_low", {"clip": 1e-6}),
        "evaluation in train mode": ("evaluation_in_train_mode", {"switch": False}),
        "the batch is always the same": ("augmentation_repeats batches_repeat overfitting", {"reseed": True}),
        "rate decays too fast": (
            "learning_rate_too_low weights_do_not_move rate_decays_too_fast",
            {"milestones": (4, 8, 12), "gamma": 0.01},
        ),
        "steps below the precision": ("weights_do_not_move learning_rate_too_low", {"halve": True, "lr": 3e-6}),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 20.0}),
        "the image is blank": ("inputs_constant", {"feed": lambda x: x[:, :, :1, :1].expand_as(x) * 0}),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "batch too small": ("batch_too_small", {"batch": 2}),
    },
    {
        "checkpointed": {"net": {"recompute": True}, "iterations": 180},
        "zero residual branches": {"net": {"zero": True}},
        "AdaDelta": {"optimizer": lambda made: torch.optim.Adadelta(made, lr=1.0)},
        "not centred": {"feed": lambda x: x + 0.5},
        "Adam": {"optimizer": lambda made: torch.optim.Adam(made, lr=2e-3)},
        "NAdam": {"optimizer": lambda made: torch.optim.NAdam(made, lr=1e-3)},
        "momentum 0.98": {"momentum": 0.98, "lr": 0.015, "iterations": 260},
        "clipped by value": {"clip": 0.1},
        "batches of 64": {"batch": 64, "iterations": 160},
        "half the contrast": {"feed": lambda x: x / 2},
        "no decay": {"decay": 0.0},
        "sum over the batch, rate to match": {"sum_loss": True, "lr": 0.05 / 32},
        "RMSprop": {"optimizer": lambda made: torch.optim.RMSprop(made, lr=1e-3)},
    },
)
