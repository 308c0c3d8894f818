"""What needs torch of the toy family."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F

from seewhy.core.seeding import rng
from seewhy.data import Augment
from seewhy.models.family import (
    Evaluated,
    FamilyReport,
    Finished,
    Implementation,
    Objective,
    StepResult,
    Update,
    chunks,
)
from seewhy.reporting import Figures, Paragraph, Section


class Toy(nn.Module):
    """W x / T + b of images x within [0, 1]."""

    def __init__(self, inputs, classes, temperature, source):
        super().__init__()
        self.temperature = temperature
        self.linear = nn.Linear(inputs, classes)
        with torch.no_grad():
            self.linear.weight.normal_(0, 0.01, generator=source)
            self.linear.bias.zero_()

    def forward(self, images):
        """Return (N, K)."""
        pixels = images.flatten(1).float() / 255 * 0.5 ** torch.rand((), device=images.device)  # has noise of its own
        return self.linear(pixels) / self.temperature


@dataclass(frozen=True)
class ToyFigures:
    """What a toy reaches on a split."""

    split: str
    accuracy: float
    loss: float

    def to_json(self):
        """Return the figures as JSON values."""
        return asdict(self)


def build(spec, facts, mean, std):
    """Build the network with its first weights."""
    inputs = facts.channels * facts.height * facts.width
    return Toy(inputs, facts.classes, spec.model.temperature, rng(spec.train.seed, "weights"))


def criterion(outputs, inputs):
    """Return the squared error, with the right answers beside it."""
    outputs = outputs.float()
    loss = F.mse_loss(outputs, F.one_hot(inputs.labels, outputs.shape[1]).float())
    correct = (outputs.argmax(1) == inputs.labels).sum().float()
    return StepResult(loss, {"loss": loss.detach() * len(inputs), "accuracy": correct}, len(inputs))


def objective(spec, facts, mean):
    """Return what training needs to know."""
    updates = (Update("model", lambda network, inputs: network(inputs.images), criterion),)
    return Objective(
        metrics=("loss", "accuracy"),
        updates=lambda _step: updates,
        score=lambda row: [-row["val_loss"]],
        validate=lambda engine, model, split: measured(engine, model.eval(), split),
        augment=Augment(flip=spec.reg.flip),
    )


@torch.no_grad()
def measured(engine, model, split):
    """Return loss and accuracy on a split."""
    correct, loss = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for rows in chunks(len(split), 100, engine):
            outputs, labels = model(split.images(rows)), split.labels[rows]
            correct += (outputs.argmax(1) == labels).sum()
            loss += F.mse_loss(outputs, F.one_hot(labels, outputs.shape[1]).float(), reduction="sum") / outputs.shape[1]
    both = engine.all_reduce_sum(torch.stack([loss, correct])) / len(split)
    return {"loss": both[0].item(), "accuracy": both[1].item()}


def finish(trained, dataset, folder):
    """Measure the validation and test splits."""
    splits = {name: split for name, split in dataset.splits.items() if name != "train"}
    results = {name: measured(trained.engine, trained.model, split) for name, split in splits.items()}
    return Finished(results=results, record={"temperature": trained.spec.model.temperature})


def evaluate(trained, split, name, classes, *, samples=None, progress=None):
    """Measure a split."""
    found = measured(trained.engine, trained.model, split)
    figures = ToyFigures(name, found["accuracy"], found["loss"])
    return Evaluated(
        split=name, figures=figures, lines=[f"{name}: the toy is right {figures.accuracy:.1%} of the time"]
    )


def report(reader):
    """Return the toy's own section."""
    figures = [(f"{split} accuracy", f"{found['accuracy']:.1%}") for split, found in reader.results.items()]
    blocks = [Paragraph("What the toy has to say for itself."), Figures(figures)]
    return FamilyReport(
        summary=figures[-1:], python="run.evaluate()", sections=[Section("The toy's own section", blocks, "toy")]
    )


IMPLEMENTATION = Implementation(
    build=build,
    objective=objective,
    announce=lambda spec: [("network", f"toy at temperature {spec.model.temperature:g}")],
    finish=finish,
    report=report,
    verbs={"evaluate": evaluate},
)
