"""Healthy variants of the base programs, some odd on purpose. All learn what they can."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from bases import SGD, Adam, AdamW, RMSprop
from changes import Change, chain, first, freeze, imbalanced, inputs, model, options, pretrain, put, rate, weights
from loops import Setup, with_closure
from torch import Tensor, nn

from models import mlp, with_norm

Schedules = torch.optim.lr_scheduler


def optimiser(kind: type[torch.optim.Optimizer], **values: object) -> Change:
    return put(optimizer=lambda parameters: kind(parameters, **values))


def smoothed(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y, label_smoothing=0.1)


def summed(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y, reduction="sum")


def likelihood(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(net(x), 1), y)


def weighted(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Weight classes by how rare they are."""
    return F.cross_entropy(net(x), y, weight=torch.tensor([1.0, 3.0, 3.0]))


def with_l1(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y) + 1e-5 * sum(p.abs().sum() for p in net.parameters())


def mixed(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mix pairs of rows, and their losses (mixup)."""
    if not torch.is_grad_enabled():
        return F.cross_entropy(net(x), y)
    share, order = float(torch.distributions.Beta(0.4, 0.4).sample()), torch.randperm(len(x))
    z = net(share * x + (1 - share) * x[order])
    return share * F.cross_entropy(z, y) + (1 - share) * F.cross_entropy(z, y[order])


def bounded(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.huber_loss(net(x), y)


def zero_head(setup: Setup) -> None:
    head = [part for part in setup.model.modules() if isinstance(part, nn.Linear)][-1]
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)


def negative_biases(w: Tensor) -> Tensor:
    return w - 0.15 if w.dim() == 1 else w


def warm_up(optimizer: torch.optim.Optimizer) -> object:
    return Schedules.LambdaLR(optimizer, lambda step: min(1.0, step / 40))


def one_cycle(optimizer: torch.optim.Optimizer) -> object:
    return Schedules.OneCycleLR(optimizer, optimizer.param_groups[0]["lr"] * 4, total_steps=400)


def cosine_to_zero(optimizer: torch.optim.Optimizer) -> object:
    return Schedules.CosineAnnealingLR(optimizer, 400)


def spare_branch(setup: Setup) -> None:
    """Keep an auxiliary head that only other trainings use."""
    setup.model.auxiliary = nn.Linear(16, 7)


VARIANTS: dict[str, tuple[str, Change]] = {
    "plain": (
        "mlp-shallow mlp-deep convnet convnet-bn resnet transformer rnn unet vae gan metric regression",
        lambda setup: None,
    ),
    "sparse relu": ("mlp-shallow convnet", weights(negative_biases, lambda name: "bias" in name)),
    "deep with batch norm": ("mlp-deep", model(lambda: with_norm(9))),
    "tanh": ("mlp-shallow", model(lambda: mlp([64, 64, 64, 10], nn.Tanh))),
    "sigmoid, one hidden layer": ("mlp-shallow", chain(model(lambda: mlp([64, 64, 10], nn.Sigmoid)), rate(4))),
    "leaky relu": ("mlp-deep", model(lambda: mlp([10, 64, 64, 64, 3], nn.LeakyReLU))),
    "one cycle to four times the rate": ("mlp-shallow convnet-bn mlp-deep", put(schedule=one_cycle, steps=399)),
    "warm-up from 0": (
        "transformer resnet convnet mlp-deep mlp-shallow rnn convnet-bn unet regression",
        put(schedule=warm_up),
    ),
    "cosine to 0": ("rnn resnet convnet mlp-shallow unet regression metric", put(schedule=cosine_to_zero, steps=400)),
    "heavy dropout": ("mlp-shallow", model(lambda: mlp([64, 256, 10], dropout=0.6))),
    "mixup": ("convnet resnet mlp-shallow convnet-bn", put(loss=mixed)),
    "label smoothing": ("convnet mlp-shallow rnn convnet-bn mlp-deep resnet", put(loss=smoothed)),
    "likelihood of log-softmax": ("rnn", put(loss=likelihood)),
    "sum over the batch, rate to match": ("mlp-shallow convnet", chain(put(loss=summed), rate(1 / 64))),
    "backbone frozen on purpose": ("resnet", chain(pretrain, freeze(lambda name: not name.startswith("fc")))),
    "accumulation": ("mlp-deep transformer convnet rnn unet regression", put(accumulate=4, batch=16)),
    "clipping at 1": ("rnn transformer gan convnet mlp-deep resnet unet regression vae", put(clip=1.0)),
    "L1": ("convnet-bn mlp-shallow convnet rnn", put(loss=with_l1)),
    "imbalance 3 to 1": ("mlp-deep", imbalanced(3)),
    "imbalance, weighted": ("mlp-deep", chain(imbalanced(3), put(loss=weighted))),
    "little data by heart": ("mlp-shallow convnet", chain(first(150), put(tell=True))),
    "zeroed, not None": ("mlp-shallow convnet-bn rnn gan regression vae unet metric", put(to_none=False)),
    "LBFGS": ("mlp-shallow", chain(optimiser(torch.optim.LBFGS, lr=0.5, max_iter=8), put(loop=with_closure, steps=20))),
    "LBFGS, regression": (
        "regression",
        chain(
            optimiser(torch.optim.LBFGS, max_iter=5, line_search_fn="strong_wolfe"), put(loop=with_closure, steps=15)
        ),
    ),
    "bf16": ("convnet transformer resnet mlp-shallow convnet-bn rnn", put(autocast=True)),
    "head starts at zero": ("mlp-shallow resnet transformer convnet convnet-bn rnn mlp-deep", zero_head),
    "RMSprop": ("convnet mlp-shallow rnn mlp-deep", optimiser(RMSprop, lr=1e-3)),
    "Adam": ("convnet mlp-shallow resnet convnet-bn", optimiser(Adam, lr=2e-3)),
    "AdamW, decay 0.1": ("rnn convnet mlp-deep unet", optimiser(AdamW, lr=2e-3, weight_decay=0.1)),
    "SGD, momentum 0.95": ("regression", optimiser(SGD, lr=0.02, momentum=0.95)),
    "decay 5e-4": ("resnet convnet mlp-shallow convnet-bn unet", options(weight_decay=5e-4)),
    "losses told": ("convnet-bn regression vae unet", put(tell=True)),
    "Huber": ("regression", put(loss=bounded)),
    "inputs from 0 to 1": ("convnet", inputs(lambda x: (x - x.min()) / (x.max() - x.min()))),
    "a third of the rate": ("mlp-shallow convnet-bn vae convnet resnet rnn unet regression", rate(1 / 3)),
    "batches of 8": ("mlp-shallow resnet unet", put(batch=8)),
    "spare head": ("transformer", spare_branch),
}
