"""The loops, each in another hand: by epochs, by steps, with a closure, and for two networks.

A `Setup` holds everything that a program is made of. A mutation changes it before the loop begins.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

Watcher = Callable[..., Any]


@dataclass
class Setup:
    """A program, before it runs.

    Attributes:
        model, x, y, x_val, y_val: the network and its data.
        optimizer: makes the optimiser of the model.
        loss: from model, inputs and targets to the loss, with the forward pass.
        metric: from the setup to the final metric: 1 is perfect, and 0 what needs no learning.
        loop: from setup and watcher to the watch.
        steps, batch: how long, and how many rows.
        train_mode, eval_mode: whether the loop switches to training, and to evaluation.
        clear: whether gradients are cleared; to_none: to None.
        take_step: whether the optimiser's step is called at all.
        clip: norm at which the gradients are clipped.
        accumulate: backward passes a step.
        autocast: bfloat16.
        schedule: makes a learning-rate scheduler, which is stepped after every step.
        each: changes a batch.
        after_optimizer: changes the model when the optimiser has been made.
        tell: whether the loop tells its losses.
        rival, rival_optimizer: a discriminator.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor
    optimizer: Callable[[Any], Optimizer]
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    metric: Callable[[Setup], float]
    loop: Callable[[Setup, Watcher], Any]
    steps: int = 200
    batch: int = 64
    train_mode: bool = True
    eval_mode: bool = True
    clear: bool = True
    to_none: bool = True
    take_step: bool = True
    clip: float | None = None
    accumulate: int = 1
    autocast: bool = False
    schedule: Callable[[Optimizer], Any] | None = None
    each: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda x, y: (x, y)
    after_optimizer: Callable[[nn.Module], None] = lambda model: None
    tell: bool = False
    rival: nn.Module | None = None
    rival_optimizer: Callable[[Any], Optimizer] | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@torch.no_grad()
def evaluate(setup: Setup) -> float:
    """Return the validation loss, batch by batch, in whatever mode the program evaluates."""
    if setup.eval_mode:
        setup.model.eval()
    losses = [
        float(setup.loss(setup.model, *setup.each(x, y)))
        for x, y in zip(setup.x_val.split(128), setup.y_val.split(128), strict=True)
    ]
    return sum(losses) / len(losses)


def one_step(setup: Setup, optimizer: Optimizer, scheduler: Any, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    if setup.clear:
        optimizer.zero_grad(set_to_none=setup.to_none)
    total = torch.zeros(())
    for x, y in batches:
        x, y = setup.each(x, y)
        with torch.autocast("cpu", torch.bfloat16, enabled=setup.autocast):
            loss = setup.loss(setup.model, x, y)
        (loss / len(batches)).backward()
        total = loss.detach()
    if setup.clip is not None:
        nn.utils.clip_grad_norm_(setup.model.parameters(), setup.clip)
    if setup.take_step:
        optimizer.step()
    if scheduler is not None:
        scheduler.step()
    return total


def by_epochs(setup: Setup, watch: Watcher) -> Any:
    """Shuffle, go through the batches, evaluate after each epoch."""
    optimizer = setup.optimizer(setup.model.parameters())
    scheduler = setup.schedule(optimizer) if setup.schedule else None
    setup.after_optimizer(setup.model)
    size = setup.batch * setup.accumulate
    with watch(setup.model, optimizer) as why:
        if not setup.train_mode:
            setup.model.eval()
        step = 0
        while step < setup.steps:
            if setup.train_mode:
                setup.model.train()
            for rows in torch.randperm(len(setup.x)).split(size):
                if step == setup.steps or (len(rows) < size and step):
                    break
                parts = [(setup.x[part], setup.y[part]) for part in rows.split(setup.batch)]
                loss = one_step(setup, optimizer, scheduler, parts)
                step += 1
                if setup.tell:
                    why.observe(loss=loss)
            value = evaluate(setup)
            if setup.tell:
                why.observe(val_loss=value)
    return why


def by_steps(setup: Setup, watch: Watcher) -> Any:
    """Draw random rows; watch until the end, and evaluate when all is over."""
    setup.model.train(setup.train_mode)
    optimizer = setup.optimizer(setup.model.parameters())
    scheduler = setup.schedule(optimizer) if setup.schedule else None
    setup.after_optimizer(setup.model)
    why = watch(setup.model, optimizer)
    for step in range(setup.steps):
        batches = []
        for _ in range(setup.accumulate):
            rows = torch.randint(len(setup.x), (setup.batch,))
            batches.append((setup.x[rows], setup.y[rows]))
        loss = one_step(setup, optimizer, scheduler, batches)
        if setup.tell and step % 10 == 0:
            why.observe(loss=loss.item())
    evaluate(setup)
    why.close()
    return why


def with_closure(setup: Setup, watch: Watcher) -> Any:
    """Let the optimiser evaluate the loss, on all the data."""
    optimizer = setup.optimizer(setup.model.parameters())
    why = watch(setup.model, optimizer)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = setup.loss(setup.model, setup.x, setup.y)
        loss.backward()
        return loss

    for _ in range(setup.steps):
        optimizer.step(closure)
    why.close()
    return why


def adversarial(setup: Setup, watch: Watcher) -> Any:
    """Train a generator and a discriminator in turns, each with an optimiser."""
    g, d = setup.model, setup.rival
    assert d is not None
    assert setup.rival_optimizer is not None
    opt_g, opt_d = setup.optimizer(g.parameters()), setup.rival_optimizer(d.parameters())
    turns = setup.notes.get("turns", 1)
    with watch(g, opt_g, discriminator=d, d_optimizer=opt_d) as why:
        for _ in range(setup.steps):
            for _ in range(turns):
                real, _ = setup.each(setup.x[torch.randint(len(setup.x), (setup.batch,))], setup.y)
                fake = g(torch.randn(setup.batch, 16)).detach()
                if setup.clear:
                    opt_d.zero_grad()
                right, wrong = d(real), d(fake)
                loss_d = F.binary_cross_entropy_with_logits(right, torch.ones_like(right))
                loss_d = loss_d + F.binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong))
                loss_d.backward()
                opt_d.step()
            if setup.clear:
                opt_g.zero_grad()
            judged = d(g(torch.randn(setup.batch, 16)))
            F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged)).backward()
            opt_g.step()
    return why


# Metrics: 1 is perfect, 0 is what needs no learning.


@torch.no_grad()
def outputs(setup: Setup) -> tuple[Any, Tensor]:
    """Return the outputs for the validation data as the program evaluates them, and the targets."""
    model = copy.deepcopy(setup.model)
    model.train(not setup.eval_mode)
    x, y = zip(
        *(setup.each(x, y) for x, y in zip(setup.x_val.split(128), setup.y_val.split(128), strict=True)), strict=True
    )
    found = [model(part) for part in x]
    found = [
        part["logits"] if isinstance(part, dict) else part[0] if isinstance(part, tuple) else part for part in found
    ]
    return torch.cat(found), torch.cat(y)


def recall(setup: Setup) -> float:
    """Return the mean of the classes' recalls, moved so that chance is 0."""
    z, y = outputs(setup)
    y = y.argmax(1) if y.dim() > 1 else y
    right = (z.argmax(1) == y).float()
    classes = y.unique().tolist()
    mean = sum(float(right[y == c].mean()) for c in classes) / len(classes)
    return (mean - 1 / len(classes)) / (1 - 1 / len(classes))


def explained(setup: Setup) -> float:
    """Return R^2."""
    z, y = outputs(setup)
    z = z if z.shape == y.shape else z[:, 0]
    return 1 - float((z - y).square().sum() / (y - y.mean(0)).square().sum())


def overlap(setup: Setup) -> float:
    """Return the intersection over the union of masks."""
    z, y = outputs(setup)
    z, y = z > setup.notes.get("threshold", 0), y > 0.5
    return float((z & y).sum() / (z | y).sum())


def neighbours(setup: Setup) -> float:
    """Return the recall of the nearest embedding of training data."""
    z, y = outputs(setup)
    with torch.no_grad():
        known = setup.model.eval()(setup.each(setup.x[:600], setup.y[:600])[0])
    found = setup.y[:600][torch.cdist(z, known).nan_to_num(1e9).argmin(1)]
    return (float((found == y).float().mean()) - 0.1) / 0.9


def bound(setup: Setup) -> float:
    """Return by how much the evidence bound is better than that of independent pixels, as a share."""
    x = setup.x_val.flatten(1)
    with torch.no_grad():
        z, mu, logvar = setup.model.eval()(setup.each(setup.x_val, setup.y_val)[0])
    rate = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
    nats = F.binary_cross_entropy_with_logits(z, x, reduction="none").sum(1).mean() + rate
    p = setup.x.flatten(1).mean(0).clamp(1e-3, 1 - 1e-3)
    floor = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    least = -(x * x.clamp_min(1e-6).log() + (1 - x) * (1 - x).clamp_min(1e-6).log()).sum(1).mean()
    return float((floor - nats) / (floor - least))


def likeness(setup: Setup) -> float:
    """Return 1 minus the Frechet distance of generated pixels to real ones, as a share of that of the mean image."""
    real = setup.x_val.double()
    with torch.no_grad():
        fake = setup.model(torch.randn(2000, 16)).double()
    if not bool(torch.isfinite(fake).all()):
        return -1.0
    a, b = torch.cov(real.T), torch.cov(fake.T)
    cross = torch.linalg.eigvals(a @ b).real.clamp_min(0).sqrt().sum()
    distance = (real.mean(0) - fake.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
    return 1 - float(distance / a.trace())
