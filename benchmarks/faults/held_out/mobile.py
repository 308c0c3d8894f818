"""Depthwise-separable convolutions with squeeze-excitation on textures: RMSprop, an averaged copy, label smoothing."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced, thinned
from held_out.data import textures


class Squeeze(nn.Module):
    """Weighs channels by what they hold on average; `gate` makes weights of logits."""

    def __init__(self, width: int, gate: Any) -> None:
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(width, 8, 1), nn.Conv2d(8, width, 1), gate

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x * self.gate(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


def separable(inputs: int, outputs: int, stride: int, gate: Any, act: type[nn.Module], norm: bool) -> nn.Sequential:
    def bn(n: int) -> nn.Module:
        return nn.BatchNorm2d(n) if norm else nn.Identity()

    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=not norm),
        bn(inputs),
        act(),
        Squeeze(inputs, gate),
        nn.Conv2d(inputs, outputs, 1, bias=not norm),
        bn(outputs),
        act(),
    )


class MobileNet(nn.Module):
    """A stem, three separable convolutions, dropout, a classifier."""

    def __init__(
        self,
        gate: Any = torch.sigmoid,
        act: type[nn.Module] = nn.Hardswish,
        norm: bool = True,
        dropout: float = 0.1,
        tail: nn.Module | None = None,
        widths: tuple[int, ...] = (16, 24, 32, 48),
    ) -> None:
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, a, 3, 1, 1, bias=False), nn.BatchNorm2d(a) if norm else nn.Identity(), act()
        )
        self.features = nn.Sequential(
            separable(a, b, 1, gate, act, norm),
            separable(b, c, 2, gate, act, norm),
            separable(c, d, 2, gate, act, norm),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(d, 6))
        self.tail = tail or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.tail(self.head(self.features(self.stem(x))))


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    optimizer: Any = torch.optim.RMSprop,
    lr: float = 2e-3,
    options: dict[str, Any] | None = None,
    smoothing: float = 0.1,
    epochs: int = 7,
    batch: int = 32,
    evaluates: bool = True,
    trains: bool = True,
    feed: Any = lambda x: (x - 0.5) / 0.3,
    ratio: int = 1,
    frozen: Any = (),
    clears: Any = lambda opt: opt.zero_grad(),
    initial: Any = None,
    average: float = 0.9,
    steps: int = 10_000,
    mixes: float = 0.0,
    norms: str = "",
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = textures(seed)
    x, x_val = feed(x), feed(x_val)
    kept = thinned(y, ratio)
    x, y = x[kept], y[kept]
    model = MobileNet(**(net or {}))
    if norms:
        wrap = {"weight": nn.utils.parametrizations.weight_norm, "spectral": nn.utils.parametrizations.spectral_norm}[
            norms
        ]
        for part in list(model.modules()):
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                wrap(part)
    if initial is not None:
        model.apply(initial)
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(tuple(frozen)))
    criterion = nn.CrossEntropyLoss(label_smoothing=smoothing)
    opt = optimizer(model.parameters(), lr=lr, **(options or {}))
    ema = copy.deepcopy(model)
    done = 0
    with watch(model, opt) as why:
        while epochs and done < steps:
            epochs -= 1
            for rows in torch.randperm(len(x)).split(batch):
                if len(rows) < batch or done == steps:
                    continue
                model.train() if trains else model.eval()
                images, share = x[rows], 1.0
                if mixes:
                    share = float(torch.distributions.Beta(mixes, mixes).sample())
                    images = share * images + (1 - share) * images.flip(0)
                clears(opt)
                z = model(images)
                (share * criterion(z, y[rows]) + (1 - share) * criterion(z, y[rows].flip(0))).backward()
                opt.step()
                done += 1
                with torch.no_grad():
                    for old, new in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
                        old.lerp_(new, 1 - average) if old.is_floating_point() else old.copy_(new)
            if evaluates:
                model.eval()
            with torch.no_grad():
                why.observe(val_accuracy=float((model(x_val).argmax(1) == y_val).float().mean()))
    judged = ema if evaluates and average else model
    judged.train(not evaluates)
    order = y_val.argsort()
    with torch.no_grad():
        return why, balanced(torch.cat([judged(part).argmax(1) for part in x_val[order].split(20)]), y_val[order])


def ones(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear)):
        nn.init.constant_(part.weight, 0.1)
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def deviation(x: Tensor) -> Tensor:
    """Standardise each pixel of each image by its channels, of which grey ones do not differ."""
    grey = x.mean(1, keepdim=True).round(decimals=1).expand_as(x)
    return (grey - grey.mean(1, keepdim=True)) / grey.std(1, keepdim=True)


HAND = Hand(
    "mobile",
    train,
    {
        "zero_grad missing": (
            "zero_grad_missing",
            {"clears": lambda opt: None, "optimizer": torch.optim.SGD, "lr": 0.05},
        ),
        "softmax over wrong axis": (
            "softmax_over_wrong_axis softmax_before_softmax_loss",
            {"net": {"tail": nn.Softmax(0)}},
        ),
        "sigmoid on the logits": ("activation_before_loss saturated_units", {"net": {"tail": nn.Sigmoid()}}),
        "training in eval mode": ("training_in_eval_mode", {"trains": False}),
        "evaluation in train mode": ("evaluation_in_train_mode", {"evaluates": False}),
        "features frozen": ("parameters_frozen", {"frozen": ("stem", "features")}),
        "batch too small": ("batch_too_small", {"batch": 2, "steps": 200}),
        "imbalance ignored": ("majority_class_only class_imbalance", {"ratio": 50, "epochs": 28}),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 1.0}),
        "rate too low": ("learning_rate_too_low", {"lr": 1e-8, "average": 0.0}),
        "weight decay too large": ("weight_decay_too_large", {"options": {"weight_decay": 3.0}}),
        "weights all the same": ("initialisation_symmetric", {"initial": ones}),
        "too narrow": ("capacity_too_small underfitting", {"net": {"widths": (1, 1, 1, 1)}}),
        "division by a deviation of 0": ("not_finite", {"feed": deviation}),
        "trained too briefly": ("underfitting", {"steps": 25}),
        "momentum too large": (
            "loss_oscillates learning_rate_too_high",
            {"optimizer": torch.optim.SGD, "lr": 0.5, "options": {"momentum": 0.995}},
        ),
    },
    {
        "ReLU": {"net": {"act": nn.ReLU}},
        "softmax over channels as the gate": {"net": {"gate": lambda z: 8 * z.softmax(1)}},
        "weight norm": {"norms": "weight"},
        "spectral norm": {"norms": "spectral", "epochs": 6},
        "no smoothing, no average": {"smoothing": 0.0, "average": 0.0},
        "mixup": {"mixes": 0.3, "epochs": 9},
        "SGD": {"optimizer": torch.optim.SGD, "lr": 0.1, "options": {"momentum": 0.9}},
        "centred RMSprop": {"options": {"centered": True, "momentum": 0.5, "eps": 1e-3}},
        "imbalance 3 to 1": {"ratio": 3, "epochs": 13},
        "dropout a half": {"net": {"dropout": 0.5}},
        "SiLU": {"net": {"act": nn.SiLU}},
        "from 0 to 1": {"feed": lambda x: x},
        "AdamW": {"optimizer": torch.optim.AdamW, "lr": 4e-3},
    },
)
