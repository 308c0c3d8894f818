"""Tags of scenes, several at a time, by binary cross-entropy with logits; accumulation, a random crop, Nesterov momentum."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher, shuffled
from held_out.data import scenes


def network(
    act: type[nn.Module] = nn.ReLU,
    drop: float = 0.2,
    norm: bool = True,
    end: tuple[nn.Module, ...] = (),
    width: int = 16,
) -> nn.Module:
    """Return three convolutions, pooling by the maximum, and a head."""

    def unit(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
        return (
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not norm),
            nn.BatchNorm2d(outputs) if norm else nn.Identity(),
            act(),
        )

    return nn.Sequential(
        *unit(3, width, 1),
        *unit(width, 2 * width, 2),
        *unit(2 * width, 3 * width, 1),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(drop),
        nn.Linear(3 * width, 3),
        *end,
    )


def shifted(x: Tensor, most: int) -> Tensor:
    """Shift a batch by up to `most` pixels."""
    return x.roll(torch.randint(-most, most + 1, (2,)).tolist(), (2, 3)) if most else x


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 0.03,
    decay: float = 1e-3,
    epochs: int = 11,
    batch: int = 16,
    parts: int = 2,
    shift: int = 1,
    loss: Any = F.binary_cross_entropy_with_logits,
    feed: Any = lambda x: x,
    labels: Any = None,
    clears: bool = True,
    frozen: bool = False,
    evaluates: bool = True,
    weight: float | None = None,
    initial: Any = None,
    optimizer: Any = None,
    rows: int = 900,
    ratio: int = 1,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    found = scenes(seed, 1300, 0.25)
    x, x_val, tags, tags_val = feed(found.x[:900])[:rows], feed(found.x[900:]), found.tags[:rows], found.tags[900:]
    if ratio > 1:
        kept = torch.nonzero((tags[:, 2] == 0) | (torch.arange(len(tags)) % ratio == 0)).squeeze(1)
        x, tags = x[kept], tags[kept]
    tags = tags if labels is None else labels(tags)
    model = network(**(net or {}))
    if initial is not None:
        model.apply(initial)
    if frozen:
        for p in [p for p in model.parameters() if p.dim() != 2]:
            p.requires_grad = False
    opt = (optimizer or torch.optim.SGD)(
        model.parameters(), lr=lr, weight_decay=decay, **({} if optimizer else {"momentum": 0.9, "nesterov": True})
    )
    scale = None if weight is None else torch.full((3,), weight)
    why, count = watch(model, opt), 0
    for _ in range(epochs):
        model.train()
        for picked in torch.randperm(len(x)).split(batch):
            z = model(shifted(x[picked], shift))
            value = loss(z, tags[picked], pos_weight=scale) if scale is not None else loss(z, tags[picked])
            (value / parts).backward()
            count += 1
            if count % parts == 0:
                opt.step()
                if clears:
                    opt.zero_grad()
        if evaluates:
            model.eval()
        with torch.no_grad():
            why.observe(val_loss=loss(model(x_val), tags_val))
    why.close()
    model.train(not evaluates)
    order = tags_val[:, 0].argsort()
    with torch.no_grad():
        z = torch.cat([model(part) for part in x_val[order].split(4)])
    there, tags_val = z > 0, tags_val[order] > 0.5
    hits = (there & tags_val).sum(0) / tags_val.sum(0) + (~there & ~tags_val).sum(0) / (~tags_val).sum(0)
    return why, float(hits.mean() - 1)


def by_hand(z: Tensor, t: Tensor) -> Tensor:
    """Take logarithms of probabilities, of which some are 0."""
    p = torch.sigmoid(30 * z)
    return -(t * p.log() + (1 - t) * (1 - p).log()).mean()


def tiny(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(part.weight, std=3e-4)


def sunk(part: nn.Module) -> None:
    if isinstance(part, nn.Conv2d) and part.bias is not None:
        nn.init.constant_(part.bias, -12.0)


HAND = Hand(
    "tags",
    train,
    {
        "sigmoid before the loss with logits": (
            "sigmoid_before_logits_loss activation_before_loss",
            {"net": {"end": (nn.Sigmoid(),)}},
        ),
        "activation on the logits": ("activation_before_loss", {"net": {"end": (nn.ReLU(),)}}),
        "softmax over tags": (
            "softmax_before_softmax_loss activation_before_loss softmax_over_wrong_axis sigmoid_before_logits_loss",
            {"net": {"end": (nn.Softmax(1),)}},
        ),
        "logarithm of 0": ("not_finite", {"loss": by_hand}),
        "zero_grad missing": ("zero_grad_missing", {"clears": False}),
        "features frozen": ("parameters_frozen", {"frozen": True, "net": {"norm": False}}),
        "evaluation in train mode": ("evaluation_in_train_mode", {"evaluates": False}),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 20.0}),
        "rate too low": ("learning_rate_too_low", {"lr": 1e-7}),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "weights too small": (
            "initialisation_too_small vanishing_gradients",
            {"initial": tiny, "net": {"norm": False}},
        ),
        "relu killed by biases": ("dead_units", {"initial": sunk, "net": {"norm": False}}),
        "weight decay too large": ("weight_decay_too_large", {"decay": 1.0}),
        "dropout too large": ("dropout_too_large", {"net": {"drop": 0.97}}),
        "overfitting": (
            "overfitting",
            {"rows": 60, "epochs": 100, "batch": 10, "parts": 1, "shift": 0, "net": {"drop": 0.0}},
        ),
        "inputs scaled twice": ("inputs_unscaled", {"feed": lambda x: x / 255, "net": {"norm": False}}),
        "imbalance ignored": ("majority_class_only class_imbalance", {"ratio": 60, "epochs": 14}),
    },
    {
        "soft labels": {"labels": lambda t: 0.9 * t + 0.05},
        "positives weigh more": {"weight": 2.0},
        "no accumulation": {"parts": 1, "batch": 32},
        "no norm": {"net": {"norm": False}, "epochs": 14},
        "leaky": {"net": {"act": nn.LeakyReLU}},
        "dropout a third": {"net": {"drop": 0.33}},
        "no shift": {"shift": 0},
        "Adamax": {"optimizer": torch.optim.Adamax, "lr": 5e-3},
        "SiLU": {"net": {"act": nn.SiLU}},
        "tripled inputs": {"feed": lambda x: 3 * x},
        "ELU": {"net": {"act": nn.ELU}},
        "no decay": {"decay": 0.0},
        "half the rate": {"lr": 0.015, "epochs": 13},
        "four parts of 8": {"batch": 8, "parts": 4},
    },
)
