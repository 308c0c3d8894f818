"""A deep perceptron with layer norm and ELU on a table of clusters, trained by somebody's `Trainer` class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced, noisy, shuffled, thinned
from held_out.data import clusters, standardised


class Block(nn.Module):
    """Linear map, layer norm, activation and dropout."""

    def __init__(self, inputs: int, width: int, activation: type[nn.Module], norm: bool, dropout: float) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.act = activation()
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.drop(self.act(self.norm(self.fc(x))))


class Net(nn.Module):
    """`depth` blocks and a linear head."""

    def __init__(
        self,
        width: int = 64,
        depth: int = 5,
        activation: type[nn.Module] = nn.ELU,
        norm: bool = True,
        dropout: float = 0.0,
        listed: bool = True,
        cut: bool = False,
    ) -> None:
        super().__init__()
        blocks = [Block(width if k else 20, width, activation, norm, dropout) for k in range(depth)]
        self.blocks: Any = nn.ModuleList(blocks) if listed else tuple(blocks)
        self.head = nn.Linear(width, 5)
        self.cut = cut

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        for block in self.blocks:
            x = block(x)
        if self.cut:
            x = x.detach()
        return self.head(x)


class Trainer:
    """Holds model, data and optimiser, and trains with callbacks, as many do."""

    def __init__(
        self, model: nn.Module, data: tuple[Tensor, ...], optimizer: torch.optim.Optimizer, **how: Any
    ) -> None:
        self.model, self.optimizer, self.how = model, optimizer, how
        self.x, self.y, self.x_val, self.y_val = data
        self.callbacks: list[Any] = []
        self.scheduler = how["schedule"](optimizer) if how.get("schedule") else None

    def fit(self, epochs: int, batch: int) -> None:
        """Go through the data, and evaluate after each epoch."""
        for _ in range(epochs):
            self.model.train()
            for rows in torch.randperm(len(self.x)).split(batch):
                self.training_step(self.x[rows], self.y[rows])
                if self.scheduler is not None:
                    self.scheduler.step()
            value = self.validate()
            for callback in self.callbacks:
                callback(val_loss=value)

    def training_step(self, x: Tensor, y: Tensor) -> None:
        """Do one step."""
        if not self.how.get("forgets"):
            for p in self.model.parameters():
                p.grad = None
        loss = F.cross_entropy(self.model(x), y, label_smoothing=self.how.get("smoothing", 0.0))
        penalty = self.how.get("l1", 0.0)
        if penalty:
            loss = loss + penalty * sum(p.abs().sum() for p in self.model.parameters())
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def validate(self) -> float:
        """Return the validation loss."""
        self.model.eval()
        return float(F.cross_entropy(self.model(self.x_val), self.y_val))


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 2e-3,
    decay: float = 0.01,
    eps: float = 1e-8,
    epochs: int = 12,
    batch: int = 64,
    rows: int = 1600,
    initial: Any = None,
    labels: Any = None,
    ratio: int = 1,
    offset: float = 0.0,
    told: bool = True,
    **how: Any,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = clusters(seed)
    x_val, x = (x_val - x.mean(0)) / x.std(0), standardised(x)
    x, x_val = x + offset, x_val + offset
    kept = thinned(y, ratio)[:rows]
    x, y = x[kept], y[kept]
    y = labels(y) if labels is not None else y
    model = Net(**(net or {}))
    if initial is not None:
        for part in model.modules():
            if isinstance(part, nn.Linear):
                initial(part)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay, eps=eps)
    trainer = Trainer(model, (x, y, x_val, y_val), optimizer, **how)
    with watch(model, optimizer) as why:
        if told:
            trainer.callbacks.append(why.observe)
        trainer.fit(epochs, batch)
    model.eval()
    with torch.no_grad():
        return why, balanced(model(x_val).argmax(1), y_val)


def constant(part: nn.Linear) -> None:
    nn.init.constant_(part.weight, 0.05)
    nn.init.zeros_(part.bias)


def wide(part: nn.Linear) -> None:
    nn.init.normal_(part.weight, std=2.0)


def tiny(part: nn.Linear) -> None:
    nn.init.normal_(part.weight, std=1e-4)
    nn.init.zeros_(part.bias)


def halved_by_the_step(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)


def restarts(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 100)


HAND = Hand(
    "tabular",
    train,
    {
        "zero_grad missing": ("zero_grad_missing", {"forgets": True, "lr": 5e-3}),
        "layers in a plain tuple": ("parameters_not_in_optimizer parameters_frozen", {"net": {"listed": False}}),
        "detached before the head": ("parameters_unused parameters_frozen", {"net": {"cut": True}}),
        "no non-linearity": ("no_nonlinearity", {"net": {"activation": nn.Identity, "norm": False}}),
        "weights all the same": ("initialisation_symmetric", {"initial": constant}),
        "weights too large": (
            "initial_loss_too_high initialisation_too_large",
            {"initial": wide, "net": {"norm": False, "activation": nn.SELU}},
        ),
        "weights too small": (
            "initialisation_too_small vanishing_gradients",
            {"initial": tiny, "net": {"norm": False, "depth": 8}},
        ),
        "deep sigmoid": ("vanishing_gradients", {"net": {"activation": nn.Sigmoid, "norm": False, "depth": 8}}),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 0.8}),
        "rate decays too fast": (
            "learning_rate_too_low weights_do_not_move rate_decays_too_fast",
            {"schedule": halved_by_the_step},
        ),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "labels noisy": ("labels_noisy", {"labels": lambda y: noisy(y, 0.6, 5), "epochs": 24}),
        "overfitting": ("overfitting", {"rows": 150, "epochs": 130, "batch": 50, "decay": 0.0}),
        "inputs one-signed": ("inputs_one_signed inputs_unscaled", {"offset": 60.0, "net": {"norm": False}}),
        "dropout too large": ("dropout_too_large", {"net": {"dropout": 0.9}}),
        "imbalance ignored": ("majority_class_only class_imbalance", {"ratio": 60, "epochs": 40}),
    },
    {
        "SELU, no norm": {"net": {"activation": nn.SELU, "norm": False}},
        "label smoothing": {"smoothing": 0.15},
        "cosine with restarts": {"schedule": restarts},
        "Adam with a large epsilon": {"eps": 1e-3, "lr": 5e-3},
        "batches of 400": {"batch": 400, "lr": 5e-3, "epochs": 40},
        "deep": {"net": {"depth": 12}},
        "L1": {"l1": 2e-5},
        "dropout": {"net": {"dropout": 0.3, "width": 128}, "epochs": 14},
        "imbalance 3 to 1": {"ratio": 3, "epochs": 20},
        "GELU, nothing told": {"net": {"activation": nn.GELU}, "told": False},
        "a tenth of the labels noisy": {"labels": lambda y: noisy(y, 0.1, 5)},
        "tanh": {"net": {"activation": nn.Tanh, "depth": 3}},
        "wide": {"net": {"width": 128}},
        "narrow": {"net": {"width": 32}, "epochs": 16},
        "decay 0.1": {"decay": 0.1},
        "batches of 32": {"batch": 32, "epochs": 8},
        "half the rate": {"lr": 1e-3, "epochs": 18},
    },
)
