"""A denoising autoencoder on textures in colour: an epoch as a generator of batches, mean squared error, AdamW."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from held_out.base import Hand, Watcher
from held_out.data import textures


class Autoencoder(nn.Module):
    """Two convolutions with stride down, two up, on top of the input if `residual`."""

    def __init__(
        self,
        width: int = 16,
        act: type[nn.Module] = nn.Mish,
        residual: bool = True,
        end: Any = lambda x: x,
        norm: bool = False,
        zero: bool = False,
    ) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1),
            act(),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.BatchNorm2d(2 * width) if norm else nn.Identity(),
            act(),
        )
        self.decode = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1), act(), nn.ConvTranspose2d(2 * width, 3, 4, 2, 1)
        )
        self.residual, self.end = residual, end
        if zero:
            nn.init.zeros_(self.decode[-1].weight)
            nn.init.zeros_(self.decode[-1].bias)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out = self.decode(self.encode(x))
        return self.end(x + out if self.residual else out)


def batches(x: Tensor, size: int, sigma: float, seed: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield noisy and clean images for ever; with a seed, every worker and epoch starts from it."""
    while True:
        g = torch.Generator() if seed is None else torch.Generator().manual_seed(seed)
        if seed is None:
            g.manual_seed(int(torch.randint(2**31, ())))
        for rows in torch.randperm(len(x), generator=g).split(size)[: 1 if seed is not None else None]:
            yield x[rows] + sigma * torch.randn(x[rows].shape, generator=g), x[rows]


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    optimizer: Any = torch.optim.AdamW,
    lr: float = 3e-3,
    decay: float = 1e-2,
    steps: int = 220,
    size: int = 32,
    sigma: float = 0.7,
    worker_seed: int | None = None,
    loss: Any = nn.functional.mse_loss,
    clears: bool = True,
    prepare: Any = lambda x: (x - 0.5) / 0.3,
    mismatched: bool = False,
    weights: Any = None,
    only: str = "",
    clip: float = 0.0,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, _, x_val, _ = textures(seed)
    x, x_val = prepare(x), prepare(x_val)
    model = Autoencoder(**(net or {}))
    if weights is not None:
        with torch.no_grad():
            for p in model.parameters():
                weights(p)
    opt = optimizer((model.get_submodule(only) if only else model).parameters(), lr=lr, weight_decay=decay)
    stream = batches(x, size, sigma * float(x.std()) / 0.95, worker_seed)
    why = watch(model, opt)
    model.train()
    for _ in range(steps):
        dirty, clean = next(stream)
        if mismatched:  # the target of another batch
            clean = next(stream)[1][: len(dirty)]
            dirty = dirty[: len(clean)]
        if clears:
            model.zero_grad(set_to_none=True)
        value = loss(model(dirty), clean)
        value.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        opt.step()
        why.observe(loss=value)
    why.close()
    model.eval()
    with torch.no_grad():
        noise = torch.randn(x_val.shape) * sigma * x.std() / 0.95
        return why, 1 - float((model(x_val + noise) - x_val).square().mean() / noise.square().mean())


HAND = Hand(
    "denoise",
    train,
    {
        "zero_grad missing": ("zero_grad_missing", {"clears": False}),
        "targets of another batch": ("labels_unrelated_to_inputs no_learning", {"mismatched": True}),
        "the batch is always the same": (
            "augmentation_repeats batches_repeat overfitting",
            {"worker_seed": 3, "size": 4, "net": {"residual": False}},
        ),
        "rectified outputs": ("activation_before_loss dead_units", {"net": {"end": torch.relu}}),
        "tanh against wide targets": (
            "activation_before_loss saturated_units",
            {"net": {"end": lambda x: torch.sigmoid(x)}},
        ),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 0.5}),
        "sum of squares": (
            "loss_is_a_sum learning_rate_too_high",
            {
                "loss": lambda a, b: nn.functional.mse_loss(a, b, reduction="sum"),
                "optimizer": torch.optim.SGD,
                "lr": 0.3,
                "decay": 0.0,
            },
        ),
        "optimiser of the decoder only": ("parameters_not_in_optimizer parameters_frozen", {"only": "decode.2"}),
        "weights too large": ("initialisation_too_large initial_loss_too_high", {"weights": lambda p: p.mul_(12)}),
        "bytes as inputs": (
            "inputs_unscaled inputs_one_signed",
            {"prepare": lambda x: 255 * x, "net": {"residual": False}},
        ),
    },
    {
        "no residual": {"net": {"residual": False}, "steps": 300},
        "last layer zero": {"net": {"zero": True}},
        "absolute error": {"loss": nn.functional.l1_loss},
        "Huber": {"loss": nn.functional.smooth_l1_loss},
        "norm": {"net": {"norm": True}},
        "from 0 to 1": {"prepare": lambda x: x},
        "GELU": {"net": {"act": nn.GELU}},
        "clipped": {"clip": 0.5},
        "more noise": {"sigma": 1.2},
        "no decay": {"decay": 0.0},
        "SiLU": {"net": {"act": nn.SiLU}},
        "batches of 16": {"size": 16},
        "Adamax": {"optimizer": torch.optim.Adamax, "lr": 6e-3, "decay": 0.0},
    },
)
