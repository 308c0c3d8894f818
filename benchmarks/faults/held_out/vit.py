"""A vision transformer with a class token and `nn.MultiheadAttention` on digits: AdamW, warm-up, bf16, clipping."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced, noisy, shuffled
from held_out.data import pixels


class Layer(nn.Module):
    """Pre-norm attention and feed-forward map."""

    def __init__(self, width: int, dropout: float, act: type[nn.Module], zero: bool) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, dropout=dropout, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(width, 2 * width), act(), nn.Dropout(dropout), nn.Linear(2 * width, width))
        if zero:
            nn.init.zeros_(self.ff[-1].weight)
            nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        h = self.n1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.ff(self.n2(x))


class ViT(nn.Module):
    """Patches of 2 x 2, a class token, learned positions, two layers."""

    def __init__(
        self,
        width: int = 32,
        dropout: float = 0.0,
        act: type[nn.Module] = nn.GELU,
        zero: bool = False,
        probabilities: int | None = None,
        frozen_patches: bool = False,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 2, 2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, 17, width))
        layer = Layer(width, dropout, act, zero)
        self.layers = nn.Sequential(layer, layer if shared else Layer(width, dropout, act, zero))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)
        self.probabilities = probabilities
        if frozen_patches:
            self.patch.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.patch(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        z = self.head(self.norm(self.layers(x))[:, 0])
        return z if self.probabilities is None else torch.softmax(z, self.probabilities)


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 4e-3,
    decay: float = 0.05,
    beta2: float = 0.98,
    warm: int = 40,
    steps: int = 250,
    batch: int = 64,
    clip: float = 1.0,
    autocast: bool = False,
    feed: Any = lambda x: (x - 0.3) / 0.38,
    labels: Any = None,
    initial: Any = None,
    train_only: Any = None,
    likelihood: bool = False,
    always_eval: bool = False,
    leaves_mode: bool = False,
    rows: int = 1300,
    average: float = 0.0,
    restores: bool = False,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = pixels(seed)
    x, x_val, y = feed(x)[:rows], feed(x_val), y[:rows]
    y = y if labels is None else labels(y)
    model = ViT(**(net or {}))
    if initial is not None:
        with torch.no_grad():
            for name, p in model.named_parameters():
                initial(name, p)
    for name, p in model.named_parameters():
        if train_only is not None:
            p.requires_grad_(train_only in name)
    criterion = nn.NLLLoss() if likelihood else nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr, (0.9, beta2), weight_decay=decay)
    shape = [min((s + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * s / steps)) for s in range(steps + 1)]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: shape[s])
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    mean = torch.optim.swa_utils.AveragedModel(model, avg_fn=lambda a, p, n: average * a + (1 - average) * p)
    best = copy.deepcopy(model.state_dict())
    why = watch(model, optimizer)
    if always_eval:
        model.eval()
    for step in range(steps):
        rows_ = torch.randint(0, len(x), (batch,))
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = criterion(model(x[rows_]), y[rows_])
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        mean.update_parameters(model)
        if restores:  # of the best epoch, meant for the end
            model.load_state_dict(best)
        if step % 100 == 50:
            if not leaves_mode:
                model.eval()
            with torch.no_grad():
                why.observe(val_loss=float(nn.functional.cross_entropy(model(x_val), y_val)))
            model.train(not always_eval)
    why.close()
    judged = mean if average else model
    judged.train(leaves_mode)
    with torch.no_grad():
        return why, balanced(judged(x_val).argmax(1), y_val)


def large(name: str, p: Tensor) -> None:
    if p.dim() > 1 and "norm" not in name:
        p.mul_(30)


def nothing(name: str, p: Tensor) -> None:
    if name.startswith(("head", "norm")):
        p.zero_()


HAND = Hand(
    "vit",
    train,
    {
        "softmax over wrong axis": (
            "softmax_before_softmax_loss softmax_over_wrong_axis",
            {"net": {"probabilities": 0}},
        ),
        "likelihood without logarithm": (
            "softmax_before_softmax_loss nll_without_log",
            {"net": {"probabilities": 1}, "likelihood": True},
        ),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 0.3}),
        "rate too low": ("learning_rate_too_low", {"lr": 2e-7}),
        "weight decay too large": ("weight_decay_too_large", {"decay": 300.0}),
        "gradients clipped to nothing": ("gradients_clipped_away learning_rate_too_low", {"clip": 1e-11}),
        "weights too large": ("initial_loss_too_high initialisation_too_large saturated_units", {"initial": large}),
        "weights all zero": ("initialisation_symmetric outputs_ignore_inputs", {"initial": nothing}),
        "features frozen": ("parameters_frozen", {"train_only": "head"}),
        "the image is blank": ("inputs_constant", {"feed": lambda x: x * 0 + 1}),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "labels noisy": ("labels_noisy", {"labels": lambda y: noisy(y, 0.75, 10)}),
        "evaluation in train mode": ("evaluation_in_train_mode", {"net": {"dropout": 0.6}, "leaves_mode": True}),
        "dropout too large": ("dropout_too_large", {"net": {"dropout": 0.95}}),
        "overfitting": ("overfitting", {"rows": 60, "steps": 300}),
        "weights are put back": ("step_missing no_learning weights_are_reset", {"restores": True}),
    },
    {
        "dropout": {"net": {"dropout": 0.2}},
        "ReLU": {"net": {"act": nn.ReLU}},
        "zero residual branches": {"net": {"zero": True}},
        "patches frozen": {"net": {"frozen_patches": True}},
        "layers shared": {"net": {"shared": True}},
        "bf16": {"autocast": True, "steps": 160},
        "average of weights": {"average": 0.98},
        "evaluation mode without dropout": {"always_eval": True},
        "clipped at 0.1": {"clip": 0.1},
        "fifteenth of the labels noisy": {"labels": lambda y: noisy(y, 0.07, 10)},
        "wide": {"net": {"width": 48}},
        "decay 0.3": {"decay": 0.3},
        "long warm-up": {"warm": 100},
        "not centred": {"feed": lambda x: x},
        "batches of 32": {"batch": 32, "steps": 300},
    },
)
