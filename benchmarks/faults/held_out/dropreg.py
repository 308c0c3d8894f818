"""Regression on Friedman's function with dropout, by functions and plain tensors: SGD with a plateau schedule."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher, explained
from held_out.data import friedman


class Regressor(nn.Module):
    """Weights as parameters of its own, applied by functions."""

    def __init__(
        self, sizes: tuple[int, ...] = (10, 96, 64, 1), act: Any = F.softplus, drop: float = 0.05, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.w = nn.ParameterList(nn.Parameter(gain * torch.randn(b, a) * (1.5 / a) ** 0.5) for a, b in pairwise(sizes))
        self.b = nn.ParameterList(nn.Parameter(torch.zeros(b)) for b in sizes[1:])
        self.act, self.drop = act, drop

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        for k, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            x = F.linear(x, w, b)
            if k < len(self.w) - 1:
                x = F.dropout(self.act(x), self.drop, self.training)
        return x


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 0.01,
    momentum: float = 0.9,
    optimizer: Any = torch.optim.SGD,
    epochs: int = 24,
    batch: int = 40,
    squeezed: bool = False,
    loss: Any = F.mse_loss,
    offset: float = 0.0,
    factor: float = 1.0,
    noise: float = 0.0,
    mixed: bool = False,
    switches: bool = True,
    clears: bool = True,
    values: Any = None,
    rows: int = 800,
    leak: bool = False,
    patience: int = 6,
    slow_weights: int = 0,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = friedman(seed)
    x, x_val, seen = factor * x + offset, factor * x_val + offset, y + noise * torch.randn(y.shape)
    if leak:  # a column that is computed from the target, and empty later
        x = torch.cat([x[:, :9], 3 * seen], 1)
        x_val = torch.cat([x_val[:, :9], torch.zeros(len(x_val), 1)], 1)
    x, seen = x[:rows], seen[:rows]
    if mixed:
        seen = seen[torch.randperm(len(seen))]
    model = Regressor(**(net or {}))
    if values is not None:
        with torch.no_grad():
            for w in model.w:
                values(w)
    more = {"momentum": momentum} if optimizer is torch.optim.SGD else {}
    opt = optimizer(model.parameters(), lr=lr, **more)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=patience, factor=0.3)
    anchor = [p.detach().clone() for p in model.parameters()]
    step = 0
    with watch(model, opt) as why:
        for _ in range(epochs):
            model.train()
            for picked in torch.randperm(len(x)).split(batch):
                target = seen[picked].squeeze(1) if squeezed else seen[picked]
                out = model(x[picked])
                value = (out - target).pow(2).mean() if squeezed else loss(out, target)
                if clears:
                    for p in model.parameters():
                        p.grad = None
                value.backward()
                opt.step()
                step += 1
                if slow_weights and step % slow_weights == 0:  # lookahead
                    with torch.no_grad():
                        for kept, p in zip(anchor, model.parameters(), strict=True):
                            kept.lerp_(p, 0.5)
                            p.copy_(kept)
            if switches:
                model.eval()
            with torch.no_grad():
                val = F.mse_loss(model(x_val), y_val)
            plateau.step(val)
            why.observe(loss=value.detach(), val_loss=val)
    model.train(not switches)
    with torch.no_grad():
        return why, max(-1.0, explained(model(x_val), y_val))


HAND = Hand(
    "dropreg",
    train,
    {
        "targets broadcast": ("shapes_broadcast", {"squeezed": True}),
        "sum of squares": (
            "loss_is_a_sum learning_rate_too_high not_finite",
            {"loss": lambda a, b: F.mse_loss(a, b, reduction="sum"), "lr": 0.02},
        ),
        "evaluation in train mode": ("evaluation_in_train_mode", {"switches": False, "net": {"drop": 0.5}}),
        "dropout too large": ("dropout_too_large", {"net": {"drop": 0.93}}),
        "labels noisy": ("labels_noisy overfitting", {"noise": 4.0}),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"mixed": True}),
        "label leakage": ("label_leakage", {"leak": True}),
        "overfitting": (
            "overfitting",
            {"rows": 60, "epochs": 180, "batch": 20, "net": {"drop": 0.0, "act": F.relu}, "noise": 0.5, "lr": 0.03},
        ),
        "zero_grad missing": ("zero_grad_missing", {"clears": False}),
        "rate too high": ("learning_rate_too_high not_finite loss_oscillates", {"lr": 1.0}),
        "rate too low": ("learning_rate_too_low", {"lr": 3e-7}),
        "rate decays too fast": (
            "learning_rate_too_low weights_do_not_move rate_decays_too_fast",
            {"patience": -1, "lr": 0.003},
        ),
        "inputs one-signed": ("inputs_one_signed inputs_unscaled", {"offset": 8.0, "lr": 0.001}),
        "inputs too large": ("inputs_unscaled not_finite", {"factor": 100.0}),
        "inputs scaled twice": ("inputs_unscaled", {"factor": 0.003}),
        "weights all the same": ("initialisation_symmetric", {"values": lambda w: w.fill_(0.03)}),
        "saturated tanh": ("saturated_units initialisation_too_large", {"net": {"act": torch.tanh, "gain": 25.0}}),
        "no non-linearity": ("no_nonlinearity", {"net": {"act": lambda x: x}}),
        "too narrow": ("capacity_too_small underfitting", {"net": {"sizes": (10, 1, 1)}}),
    },
    {
        "ReLU": {"net": {"act": F.relu}},
        "tanh": {"net": {"act": torch.tanh}},
        "dropout a fifth": {"net": {"drop": 0.2}, "epochs": 30},
        "L1 loss": {"loss": F.l1_loss},
        "Adam": {"optimizer": torch.optim.Adam, "lr": 3e-3},
        "Adagrad": {"optimizer": torch.optim.Adagrad, "lr": 0.03},
        "lookahead": {"slow_weights": 5},
        "a third of the rate": {"lr": 0.003},
        "noisy targets": {"noise": 0.3},
        "batches of 200": {"batch": 200, "lr": 0.03, "epochs": 60},
        "deep": {"net": {"sizes": (10, 64, 64, 64, 1)}},
        "GELU": {"net": {"act": F.gelu}},
        "no dropout": {"net": {"drop": 0.0}},
        "Huber": {"loss": F.huber_loss},
        "batches of 20": {"batch": 20, "lr": 0.006, "epochs": 16},
    },
)
