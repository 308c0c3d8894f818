"""Shared by the tests of families: one process on the CPU, few digits, and untrained networks as if they were trained."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest
import torch

from seewhy.data import load_dataset
from seewhy.models.family import Trained, implementation_of
from seewhy.spec import DataFacts, Request, resolve

CPU = torch.device("cpu")

SMALL = {"model.width": 8, "model.depth": 1, "train.epochs": 1}


@dataclass(frozen=True)
class LocalEngine:
    """One of several processes, each of which sees its own share only."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def is_main(self):
        return self.rank == 0

    def autocast(self):
        return nullcontext()

    def all_reduce_sum(self, values):
        return values

    def gather_rows(self, rows):
        return rows


@pytest.fixture(scope="session")
def all_digits():
    return load_dataset("digits", labels="optional")


@pytest.fixture(scope="session")
def digits(all_digits):
    """300 training images, 60 for validation, 70 for testing, of 8 x 8 pixels."""
    sizes = {"train": 300, "val": 60, "test": 70}
    return replace(
        all_digits, **{name: all_digits.splits[name].take(torch.arange(count)) for name, count in sizes.items()}
    )


@pytest.fixture(scope="session")
def facts_of():
    def make(dataset):
        sizes = {f"{name}_images": len(split) for name, split in dataset.splits.items()}
        about = {name: getattr(dataset, name) for name in ("height", "width", "channels", "flip_invariant")}
        return DataFacts(classes=len(dataset.classes), **about, **sizes)

    return make


@pytest.fixture(scope="session")
def make_spec(digits, facts_of):
    """Resolve a small model of the digits."""

    def make(name, **options):
        wanted = {**SMALL, **{f"model.{field}": value for field, value in options.items()}}
        return resolve(Request.make("digits", {"model.name": name, **wanted}), facts_of(digits)).spec

    return make


@pytest.fixture
def make_trained(digits, facts_of, make_spec, tmp_path):
    """Return a model with its first weights and the folder of its run."""

    def make(name, engine=None, record=(), **options):
        spec, facts = make_spec(name, **options), facts_of(digits)
        implementation = implementation_of(spec)
        model = implementation.build(spec, facts, digits.mean, digits.std)
        implementation.prepare(model, digits.train.images(torch.arange(200)), spec)
        return Trained(
            spec=spec,
            model=model.eval(),
            facts=facts,
            classes=digits.classes,
            engine=engine or LocalEngine(),
            folder=tmp_path,
            record=dict(record),
        )

    return make


@dataclass
class FolderReader:
    """A run's folder as its report reads it."""

    folder: object
    spec: object
    results: dict
    record: dict


@pytest.fixture
def reader_of():
    def make(trained, finished=None):
        results, record = ({}, {}) if finished is None else (finished.results, finished.record)
        return FolderReader(trained.folder, trained.spec, dict(results), dict(record))

    return make


@pytest.fixture
def images(digits):
    """Three test images, uint8 (3, 1, 8, 8)."""
    return digits.test.images(torch.arange(3))


@pytest.fixture
def engines():
    """Make the engines of several processes."""
    return lambda world: [LocalEngine(rank, world) for rank in range(world)]


@pytest.fixture
def interval_of():
    """Return the 95% interval of a mean by its textbook formula."""

    def make(values):
        half = 1.959964 * values.double().std().item() / math.sqrt(len(values))
        return values.double().mean().item() - half, values.double().mean().item() + half

    return make
