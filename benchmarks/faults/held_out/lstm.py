"""A bidirectional LSTM over oscillations: Adam, accumulated gradients, clipping; a function with a closure inside."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced, shuffled
from held_out.data import waves


class Tagger(nn.Module):
    """An LSTM in both directions, read at the end or averaged, and two linear maps."""

    def __init__(
        self,
        hidden: int = 32,
        pool: str = "mean",
        layers: int = 1,
        extra: int = 0,
        inner: Any = torch.tanh,
        batch_first: bool = True,
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, hidden, layers, batch_first=batch_first, bidirectional=True)
        self.hidden = nn.Linear(2 * hidden, 32)
        self.more = nn.ModuleList(nn.Linear(32, 32) for _ in range(extra))
        self.out = nn.Linear(32, 5)
        self.pool, self.inner = pool, inner

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        states, _ = self.lstm(x)
        features = states.mean(1) if self.pool == "mean" else states[:, -1]
        features = self.inner(self.hidden(features))
        for layer in self.more:
            features = self.inner(layer(features))
        return self.out(features)


class Probabilities(Tagger):
    """With a softmax at the end, since probabilities are wanted."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return super().forward(x).softmax(-1)


class Clamped(Tagger):
    """With logits held to be positive."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return F.relu(super().forward(x))


def run_epoch(model: nn.Module, data: tuple[Tensor, Tensor], size: int, every: int, update: Any, loss_of: Any) -> None:
    x, y = data
    for count, rows in enumerate(torch.randperm(len(x)).split(size)):
        (loss_of(model(x[rows]), y[rows]) / every).backward()
        if count % every == every - 1:
            update()


def train(
    watch: Watcher,
    seed: int,
    *,
    make: type[Tagger] = Tagger,
    net: dict[str, Any] | None = None,
    optimizer: Any = torch.optim.Adam,
    lr: float = 8e-3,
    epochs: int = 9,
    size: int = 16,
    every: int = 2,
    clip: float = 2.0,
    zeroes: bool = True,
    stepping: bool = True,
    feed: Any = lambda x: x,
    labels: Any = None,
    initial: Any = None,
    held: Any = lambda model: model.parameters(),
    loss_of: Any = F.cross_entropy,
    slower: float = 1.0,
    few: int = 1000,
    tells: bool = False,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = waves(seed)
    x, x_val, y = feed(x)[:few], feed(x_val), y[:few]
    y = y if labels is None else labels(y)
    model = make(**(net or {}))
    if initial is not None:
        with torch.no_grad():
            for name, p in model.named_parameters():
                initial(name, p)
    opt = optimizer(held(model), lr=lr)
    decay = torch.optim.lr_scheduler.ExponentialLR(opt, slower)

    def update() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        if stepping:
            opt.step()
        decay.step()
        if zeroes:
            opt.zero_grad()

    with watch(model, opt) as why:
        for _ in range(epochs):
            model.train()
            run_epoch(model, (x, y), size, every, update, loss_of)
            if tells:
                with torch.no_grad():
                    why.observe(
                        loss=float(F.cross_entropy(model(x), y)), val_loss=float(F.cross_entropy(model(x_val), y_val))
                    )
    model.eval()
    with torch.no_grad():
        return why, balanced(model(x_val).argmax(1), y_val)


def equal(name: str, p: Tensor) -> None:
    p.fill_(0.03)


def zeros(name: str, p: Tensor) -> None:
    p.zero_()


def loud(name: str, p: Tensor) -> None:
    p.mul_(60)


def faint(name: str, p: Tensor) -> None:
    if "weight" in name:
        p.mul_(0.002)
    else:
        p.zero_()


def saturating(name: str, p: Tensor) -> None:
    if name.startswith("hidden"):
        p.mul_(400)


HAND = Hand(
    "lstm",
    train,
    {
        "zero_grad missing": ("zero_grad_missing", {"zeroes": False, "lr": 0.03}),
        "step never called": ("step_missing", {"stepping": False}),
        "softmax before cross-entropy": ("softmax_before_softmax_loss", {"make": Probabilities}),
        "activation on the logits": ("activation_before_loss", {"make": Clamped}),
        "weights all the same": ("initialisation_symmetric", {"initial": equal}),
        "weights all zero": ("initialisation_symmetric outputs_ignore_inputs", {"initial": zeros}),
        "weights too large": ("initial_loss_too_high initialisation_too_large saturated_units", {"initial": loud}),
        "weights too small": (
            "initialisation_too_small vanishing_gradients",
            {"initial": faint, "lr": 1e-3, "net": {"extra": 3}},
        ),
        "saturated tanh": ("saturated_units initialisation_too_large", {"initial": saturating}),
        "deep sigmoid": ("vanishing_gradients", {"net": {"extra": 7, "inner": torch.sigmoid}}),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 3.0}),
        "rate too low": ("learning_rate_too_low", {"lr": 1e-6}),
        "rate decays too fast": ("learning_rate_too_low weights_do_not_move rate_decays_too_fast", {"slower": 0.8}),
        "inputs too large": ("inputs_unscaled", {"feed": lambda x: 2000 * x}),
        "inputs scaled twice": ("inputs_unscaled", {"feed": lambda x: x / 2000}),
        "inputs one-signed": ("inputs_one_signed inputs_unscaled", {"feed": lambda x: x + 12}),
        "too narrow": ("capacity_too_small underfitting", {"net": {"hidden": 1}}),
        "the row is repeated": ("inputs_constant", {"feed": lambda x: x[:1].repeat(len(x), 1, 1)}),
        "the batch taken for the sequence": ("sequence_over_batch", {"net": {"batch_first": False, "pool": "last"}}),
        "optimiser of the head only": (
            "parameters_not_in_optimizer parameters_frozen",
            {"held": lambda model: model.out.parameters()},
        ),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "overfitting": ("overfitting", {"few": 60, "epochs": 130, "size": 15, "tells": True, "net": {"hidden": 48}}),
    },
    {
        "last state": {"net": {"pool": "last"}, "epochs": 14},
        "two layers": {"net": {"layers": 2, "hidden": 24}},
        "relu": {"net": {"inner": F.relu}},
        "RMSprop": {"optimizer": torch.optim.RMSprop, "lr": 3e-3},
        "accumulated over 8": {"every": 8, "size": 8, "epochs": 14},
        "decays slowly": {"slower": 0.99},
        "clipped at 0.1": {"clip": 0.1},
        "losses told": {"tells": True},
        "label smoothing": {"loss_of": lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2)},
        "batches of 200": {"size": 100, "epochs": 40},
        "wide": {"net": {"hidden": 48}},
        "half the inputs": {"feed": lambda x: x / 2},
        "deeper": {"net": {"extra": 1}},
        "NAdam": {"optimizer": torch.optim.NAdam, "lr": 4e-3},
        "no accumulation": {"every": 1, "lr": 4e-3, "epochs": 6},
    },
)
