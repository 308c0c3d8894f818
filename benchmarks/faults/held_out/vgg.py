"""A VGG-like network with batch norm and dropout, functional, on textures in colour; a script with a `DataLoader`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from held_out.base import Hand, Watcher, balanced, noisy, shuffled
from held_out.data import textures


class Vgg(nn.Module):
    """Two pairs of convolutions and two linear maps; the activations are functions."""

    def __init__(
        self, drop: float = 0.3, norm: bool = True, squash: Any = F.relu, end: Any = None, wide: int = 16
    ) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, wide, 3, padding=1), nn.Conv2d(wide, wide, 3, padding=1)
        self.c3, self.c4 = nn.Conv2d(wide, 2 * wide, 3, padding=1), nn.Conv2d(2 * wide, 2 * wide, 3, padding=1)
        self.b1, self.b2 = nn.BatchNorm2d(wide), nn.BatchNorm2d(wide)
        self.b3, self.b4 = nn.BatchNorm2d(2 * wide), nn.BatchNorm2d(2 * wide)
        if not norm:
            self.b1 = self.b2 = self.b3 = self.b4 = nn.Identity()
        self.f1, self.f2 = nn.Linear(2 * wide * 4, 48), nn.Linear(48, 6)
        self.drop, self.squash, self.end = drop, squash, end

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        f = self.squash
        x = F.max_pool2d(f(self.b1(self.c1(x))), 2)
        x = F.max_pool2d(f(self.b2(self.c2(x))), 2)
        x = f(self.b3(self.c3(x)))
        x = F.max_pool2d(f(self.b4(self.c4(x))), 2)
        x = F.dropout(f(self.f1(x.flatten(1))), self.drop, self.training)
        x = self.f2(x)
        return x if self.end is None else self.end(x)


def cutmix(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Paste the left part of other images, and mix the labels (as probabilities)."""
    order, cut = torch.randperm(len(x)), int(torch.randint(4, 13, ()))
    x = torch.cat([x[order][..., :cut], x[..., cut:]], 3)
    hot = F.one_hot(y, 6).float()
    return x, cut / 16 * hot[order] + (1 - cut / 16) * hot


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    prepare: Any = lambda x: (x - 0.5) / 0.25,
    labels: Any = None,
    mark: bool = False,
    loss_function: Any = F.cross_entropy,
    lr: float = 0.03,
    momentum: float = 0.9,
    decay: float = 5e-4,
    batch: int = 50,
    epochs: int = 10,
    peak: float | None = None,
    mode: str = "train",
    clears: bool = True,
    steps: bool = True,
    mixes: Any = None,
    initial: Any = None,
    order: Any = None,
    frozen: Any = None,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = textures(seed)
    x, x_val = prepare(x), prepare(x_val)
    y = y if labels is None else labels(y)
    if mark:  # the file's name, printed in the corner
        x = x.clone()
        x[:, :, 0, :6] = 6.0 * F.one_hot(y, 6)[:, None].float()
    model = Vgg(**(net or {}))
    if initial is not None:
        model.apply(initial)
    for name, p in model.named_parameters():
        p.requires_grad = frozen is None or not frozen(name)
    opt = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr, momentum, weight_decay=decay, nesterov=momentum > 0
    )
    if order is not None:
        rows = order(y)
        x, y = x[rows], y[rows]
    loader = DataLoader(TensorDataset(x, y), batch, shuffle=order is None, drop_last=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(opt, peak, total_steps=epochs * len(loader) + 1) if peak else None
    why = watch(model, opt)
    for _ in range(epochs):
        model.train(mode != "eval")
        for images, targets in loader:
            images, targets = mixes(images, targets) if mixes else (images, targets)
            loss = loss_function(model(images), targets)
            if clears:
                model.zero_grad()
            loss.backward()
            if steps:
                opt.step()
            if cycle:
                cycle.step()
        if mode == "train":
            model.eval()
        with torch.no_grad():
            wrong = sum(
                int((model(a).argmax(1) != b).sum()) for a, b in zip(x_val.split(100), y_val.split(100), strict=True)
            )
        why.observe(val_error=wrong / len(y_val))
    why.close()
    if mode != "never eval":
        model.eval()
    rows = y_val.argsort()  # the folder is read class by class
    with torch.no_grad():
        return why, balanced(torch.cat([model(part).argmax(1) for part in x_val[rows].split(20)]), y_val[rows])


def same(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear)):
        nn.init.constant_(part.weight, 0.01)


def buried(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear)) and part.bias is not None:
        nn.init.constant_(part.bias, -8.0)


def focal(z: Tensor, y: Tensor) -> Tensor:
    logs = F.log_softmax(z, 1).gather(1, y[:, None]).squeeze(1)
    return -((1 - logs.exp()) ** 2 * logs).mean()


def log_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(torch.softmax(40 * z, 1))[torch.arange(len(y)), y].mean()


def rescaled(x: Tensor) -> Tensor:
    return x / 255 / 255


def sorted_and_mixed(y: Tensor) -> Tensor:
    """Nearly sorted: batches of few classes."""
    return (y // 2 + 1.8 * torch.rand(len(y))).argsort()


HAND = Hand(
    "vgg",
    train,
    {
        "zero_grad missing": ("zero_grad_missing", {"clears": False}),
        "step never called": ("step_missing", {"steps": False}),
        "softmax before cross-entropy": ("softmax_before_softmax_loss", {"net": {"end": lambda z: z.softmax(1)}}),
        "training in eval mode": ("training_in_eval_mode", {"mode": "eval"}),
        "evaluation in train mode": ("evaluation_in_train_mode", {"mode": "never eval"}),
        "rate too low": ("learning_rate_too_low", {"lr": 2e-6}),
        "rate too high": ("learning_rate_too_high", {"lr": 8.0}),
        "bytes as inputs": ("inputs_unscaled", {"prepare": lambda x: x * 255, "net": {"norm": False}}),
        "inputs scaled twice": (
            "inputs_unscaled initialisation_too_small",
            {"prepare": rescaled, "net": {"norm": False}},
        ),
        "weights all the same": ("initialisation_symmetric", {"initial": same, "net": {"drop": 0.0}}),
        "relu killed by biases": ("dead_units", {"initial": buried, "net": {"norm": False}, "lr": 0.01}),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "labels noisy": ("labels_noisy", {"labels": lambda y: noisy(y, 0.7, 6)}),
        "label leakage": ("label_leakage", {"mark": True}),
        "weight decay too large": ("weight_decay_too_large", {"decay": 2.0}),
        "batch too small": ("batch_too_small", {"batch": 2, "epochs": 1}),
        "logarithm of 0": ("not_finite", {"loss_function": log_by_hand, "lr": 0.2}),
        "dropout too large": ("dropout_too_large", {"net": {"drop": 0.98}}),
        "loss is a sum": (
            "loss_is_a_sum learning_rate_too_high",
            {"loss_function": lambda z, y: F.cross_entropy(z, y, reduction="sum"), "lr": 0.05},
        ),
        "features frozen": ("parameters_frozen", {"frozen": lambda name: name[0] in "cb", "net": {"norm": False}}),
    },
    {
        "no norm": {"net": {"norm": False, "drop": 0.1}, "epochs": 20},
        "dropout 0.6": {"net": {"drop": 0.6}, "epochs": 14},
        "leaky relu": {"net": {"squash": lambda x: F.leaky_relu(x, 0.1)}},
        "one cycle": {"peak": 0.15},
        "cutmix": {"mixes": cutmix, "epochs": 14},
        "focal loss": {"loss_function": focal},
        "class weights": {"loss_function": lambda z, y: F.cross_entropy(z, y, torch.tensor([1.0, 2, 1, 1, 3, 1]))},
        "no momentum": {"momentum": 0.0, "lr": 0.15},
        "a fifth of the rate": {"lr": 6e-3},
        "nearly sorted batches": {"order": sorted_and_mixed, "lr": 0.01, "epochs": 14},
        "from 0 to 1": {"prepare": lambda x: x},
        "momentum 0.8": {"momentum": 0.8, "lr": 0.05},
        "decay 5e-3": {"decay": 5e-3},
        "batches of 100": {"batch": 100, "lr": 0.05, "epochs": 14},
        "GELU": {"net": {"squash": F.gelu}},
        "label smoothing": {"loss_function": lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2)},
    },
)
