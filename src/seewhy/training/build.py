"""From a request, or a resolved specification, to a job: data, network, speed, plan.

The order matters: everything that can be refused is refused first, nothing is written before the plan stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seewhy import data as seewhy_data
from seewhy import optim
from seewhy.core.errors import InputError
from seewhy.core.seeding import derive, rng
from seewhy.data import LARGE_SIDE, Batch, Dataset, DecodeOptions, ReadOptions, Split, SplitOptions, TableOptions
from seewhy.models.family import Objective, implementation_of
from seewhy.nn import incoming_views, penalised_weights
from seewhy.optim import Penalties
from seewhy.spec import (
    DataFacts,
    DataSection,
    Default,
    RegSection,
    Request,
    Resolution,
    RunSpec,
    resolve,
    resolve_budget,
)
from seewhy.spec.check import family_for
from seewhy.spec.tree import fields as section_fields
from seewhy.training.averaging import MovingAverage
from seewhy.training.checkpoint import Checkpoint, Checkpoints, snapshot_file
from seewhy.training.events import DataProgress, Emit
from seewhy.training.fabric import Engine, choose_device, choose_precision
from seewhy.training.features import frozen_names, splits_of
from seewhy.training.job import Job
from seewhy.training.speed import measure_speed

CROWD = 4
"""Threads for each processor, at most."""

PREPARATION_IMAGES = 5000
"""Training images from which data-dependent weights (whitening filters) are computed."""


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        resolution: what was asked for, its resolved specification, and why.
        dataset: as it is trained on.
        facts: of it.
        engine: where it computes.
        model: untrained.
        images_per_second: measured training speed; 0 where it was not measured.
        weights: what is said of those of another run that it starts from; "" for random ones.
    """

    resolution: Resolution
    dataset: Dataset
    facts: DataFacts
    engine: Engine
    model: torch.nn.Module
    images_per_second: float
    weights: str = ""

    @property
    def spec(self) -> RunSpec:
        """The resolved specification."""
        return self.resolution.spec

    @property
    def objective(self) -> Objective:
        """What training minimises and needs to know."""
        return implementation_of(self.spec).objective(self.spec, self.facts, self.dataset.mean)


def prepare(request: Request, emit: Emit) -> Prepared:
    """Read the data, resolve the request, build the network, and measure its speed, by which a budget in minutes becomes one in epochs.

    Args:
        request: what is wanted.
        emit: told of the progress of decoding.
    """
    view = request.view()
    device = choose_device(view["train.device"])
    # Differences of losses and gradients along a line are lost in bfloat16.
    exact = view.optimizer is not None and view.optimizer.closure and view["train.precision"] == "auto"
    precision = "fp32" if exact else choose_precision(view["train.precision"], device)
    _validate_threads(view["train.threads"])
    engine = Engine(device=device, precision=precision, threads=view["train.threads"])
    fields = {name: view[f"data.{name}"] for name in DataSection.model_fields}
    family = family_for(request.values)
    fields["large_side"] = implementation_of(family).examine(view)
    seed = view["train.seed"] if view["train.bootstrap"] else None
    dataset = load_data(request.source, fields, family.labels, emit, seed)
    facts = facts_of(dataset)
    resolution = resolve(request, facts).settle(
        {
            "source": Default(absolute_source(request.source)),
            "data.labels": Default(absolute_labels(request.source, view["data.labels"])),
            "train.device": Default(device, "this machine"),
            "train.precision": Default(precision, "a line search" if exact else "this machine"),
            "train.threads": Default(view["train.threads"] or torch.get_num_threads(), "this machine"),
        }
    )
    model = build_model(resolution.spec, facts, dataset)
    objective = implementation_of(resolution.spec).objective(resolution.spec, facts, dataset.mean)
    speed = engine.broadcast(
        measure_speed(
            objective, partial(make_optimizer, resolution.spec), model, engine, facts, resolution.spec.train.batch_size
        )
    )
    return Prepared(resolve_budget(resolution, facts, speed), dataset, facts, engine, model, speed)


def _validate_threads(threads: int | None) -> None:
    """Refuse threads that would wait for one another so long that not even the speed could be measured; a run that goes on keeps what it had."""
    cores = os.cpu_count() or 1
    if threads is not None and threads > CROWD * cores:
        raise InputError(
            f"train.threads: {threads} are more than {CROWD} for each of the {cores} processors, and would wait for one another; leave it out "
            f"for one each (a run's bits depend on the number, so its exact repetition needs a machine that has them)"
        )


def prepare_again(resolution: Resolution, emit: Emit, *, begun: bool = False) -> Prepared:
    """Read the data and build the network of a run that was resolved before.

    Args:
        resolution: of the run.
        emit: told of the progress of decoding.
        begun: whether a checkpoint has the weights, so that those that depend on data or on a file need not be made.
    """
    spec = resolution.spec
    engine = Engine(device=choose_device(spec.train.device), precision=spec.train.precision, threads=spec.train.threads)
    seed = spec.train.seed if spec.train.bootstrap else None
    dataset = load_data(spec.source, dict(spec.data), spec.family.labels, emit, seed)
    facts = facts_of(dataset)
    return Prepared(resolution, dataset, facts, engine, build_model(spec, facts, dataset, begun=begun), 0.0)


def absolute_source(source: str) -> str:
    """Return a source that means the same from any working directory: built-in names stay, paths become absolute."""
    return source if seewhy_data.is_builtin(source) else str(Path(seewhy_data.as_path(source)).resolve())


def absolute_labels(source: str, labels: str | None) -> str | None:
    """Return the path of a labels file that means the same from any working directory."""
    with at_edge("data"):
        return None if labels is None else seewhy_data.find_table(labels, seewhy_data.as_path(source))


TABLE = ("labels", "image_column", "label_column", "split_column", "group")
"""Fields of the data section that say what is known of images beside their files."""


def data_options(fields: Mapping[str, Any], peaks: tuple[float, float] | None = None) -> ReadOptions:
    """Return the options of `load_dataset` from the fields of a data section.

    Args:
        fields: by name.
        peaks: what is white in deep images, as it was when a run was started; None to find it.
    """
    with at_edge("data"):
        decode = DecodeOptions(
            resolution=fields["resolution"],
            channels=fields["channels"],
            cache=fields["cache"],
            fit=fields["fit"],
            max_pixels=fields["max_pixels"],
            peaks=peaks,
            large_side=fields.get("large_side") or LARGE_SIDE,
        )
        split = SplitOptions(
            val_fraction=fields["val_fraction"],
            test_fraction=fields["test_fraction"],
            seed=fields["split_seed"],
            folds=fields["folds"],
            fold=fields["fold"],
        )
        table = TableOptions(**{name: fields[name] for name in TABLE})
    return ReadOptions(decode=decode, split=split, table=table, strict=bool(fields["strict"]))


def load_data(source: str, fields: dict[str, object], labels: str, emit: Emit, bootstrap: int | None) -> Dataset:
    """Read a data set; with the seed `bootstrap` the training images are sampled with replacement."""
    options = data_options(fields)
    with at_edge("data"):
        dataset = seewhy_data.load_dataset(
            source,
            **options,
            labels=labels,  # type: ignore[arg-type]
            progress=lambda done, total: emit(DataProgress(done, total)),
        )
    if len(dataset.train) < 2:
        raise InputError(f"data: {source} has {len(dataset.train)} training images; training needs at least two")
    if bootstrap is None:
        return dataset
    count = len(dataset.train)
    rows = torch.randint(count, (count,), generator=rng(bootstrap, "bootstrap"))
    return replace(dataset, train=dataset.train.take(rows.sort().values))


def facts_of(dataset: Dataset) -> DataFacts:
    """Return what the defaults depend on."""
    return DataFacts(
        height=dataset.height,
        width=dataset.width,
        channels=dataset.channels,
        classes=len(dataset.classes),
        train_images=len(dataset.train),
        val_images=len(dataset.val),
        test_images=len(dataset.test) if dataset.test is not None else 0,
        flip_invariant=dataset.flip_invariant,
        class_images=dataset.counts()["train"],
    )


def build_model(spec: RunSpec, facts: DataFacts, dataset: Dataset, *, begun: bool = False) -> torch.nn.Module:
    """Build the network with the weights that (seed, data) determine; `begun` leaves out those that depend on data or on a file."""
    rows = torch.randperm(len(dataset.train), generator=rng(spec.train.seed, "preparation"))[:PREPARATION_IMAGES]
    sample = dataset.train.images(rows.sort().values)
    implementation = implementation_of(spec)
    with at_edge("model"):
        network = implementation.build(spec, facts, dataset.mean, dataset.std)
        if not begun:
            implementation.prepare(network, sample, spec)
    return network


def make_optimizer(spec: RunSpec, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser of a resolved specification."""
    with at_edge("optim"):
        optimizer = optim.build(spec.optim.name, model.named_parameters(), **spec.optim.settings())
    optim.scale_rates(optimizer, implementation_of(spec).rates(model, spec))
    return optimizer


def make_penalties(reg: RegSection, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Penalties | None:
    """Return the penalties on weights, None without any."""
    if not (reg.l1 or reg.l2 or reg.max_norm is not None):
        return None
    weights = penalised_weights(model, everything=reg.penalise_all)
    limited = partial(incoming_views, model)
    return Penalties(weights.items(), optimizer, l1=reg.l1, l2=reg.l2, max_norm=reg.max_norm, limited=limited)


RENAMED = {
    "data": {"seed": "split_seed"},
    "model": {
        "norm_init": "norm.init",
        "keep_parameters": "activation.keep_parameters",
        "size": "latent_dim",
        "count": "levels",
    },
}
"""Arguments of parts whose fields in a run have other names."""


@contextmanager
def at_edge(section: str) -> Iterator[None]:
    """Let errors of parts, which name their own arguments, name the fields of a run: "lr: ..." becomes "optim.lr: ..."."""
    try:
        yield
    except InputError as error:
        message = str(error)
        own = re.match(r"(\w+): ", message)
        field = RENAMED.get(section, {}).get(own[1], own[1]) if own is not None else ""
        if own is None or field.partition(".")[0] not in section_fields(section):
            raise
        raise InputError(f"{section}.{field}: {message[own.end() :]}") from error


def make_job(
    prepared: Prepared, folder: Path, emit: Emit, resumed: Checkpoint | None, told: Emit = lambda _event: None
) -> Job:
    """Put the parts of a run together; with `resumed`, weights and optimiser go on from there.

    Args:
        prepared: the run.
        folder: where it writes.
        emit: is given the events of the training.
        resumed: a checkpoint, None at the start.
        told: is given the progress of what comes before the training.
    """
    spec, engine, train, objective = prepared.spec, prepared.engine, prepared.spec.train, prepared.objective
    per_epoch, total_steps = count_steps(prepared)
    optimizer = make_optimizer(spec, prepared.model)
    base_lrs = tuple(group["lr"] for group in optimizer.param_groups)
    penalties = make_penalties(spec.reg, prepared.model, optimizer)
    sparse = penalties.names if penalties is not None and penalties.l1 else ()
    average = MovingAverage(prepared.model, train.ema, sparse) if train.ema else None
    if resumed is not None:
        prepared.model.load_state_dict(resumed.model)
        optimizer.load_state_dict(dict(resumed.optimizer))
        if average is not None:
            average.load(resumed.average)
    wrapped, engine_optimizer = engine.setup(prepared.model, optimizer)
    train_split, val_split = splits_of(objective, prepared.model, engine, prepared.dataset, told, fresh=resumed is None)
    if (size := train_split.store.ready_bytes) is not None and engine.holds(size):
        train_split = train_split.on(engine.device)  # batches are gathered and augmented there
    ends = cycle_ends(total_steps, objective.snapshots)
    one = optim.schedule(spec.optim.schedule, total_steps=max(1, total_steps // len(ends)), warmup=spec.optim.warmup)
    initial = objective.initial_resolution or prepared.facts.side
    measured = len(prepared.dataset.val) and objective.validate is not None
    return Job(
        engine=engine,
        objective=objective,
        validation=val_split if measured else None,
        model=prepared.model,
        wrapped=wrapped,
        optimizer=optimizer if spec.optim.closure else engine_optimizer,
        closure=spec.optim.closure,
        penalties=penalties,
        classes=prepared.facts.classes,
        base_lrs=base_lrs,
        schedule=optim.in_cycles(one, ends),
        batches=_batches(prepared, objective, train_split),
        initial_steps=round(objective.initial_fraction * total_steps) if initial < prepared.facts.side else 0,
        steps_per_epoch=per_epoch,
        total_steps=total_steps,
        seed=train.seed,
        average=average,
        patience=train.patience,
        snapshots={end: snapshot_file(folder, index) for index, end in enumerate(ends, start=1) if len(ends) > 1},
        checkpoints=Checkpoints(folder / "checkpoint"),
        frozen=frozen_names(objective, prepared.model),
        checkpoint_seconds=train.checkpoint_seconds,
        emit=emit,
    )


def validate_steps(prepared: Prepared) -> None:
    """Refuse a batch of which some process would have nothing, methods that several processes cannot share, cycles without a step."""
    cycle_ends(count_steps(prepared)[1], prepared.objective.snapshots)
    spec, world = prepared.spec, prepared.engine.world
    if spec.optim.closure and world > 1:
        raise InputError(
            f"optim.name: {spec.optim.name} searches along a line in one process, but there are {world}; "
            "start one process, or choose a first-order optimiser"
        )
    if spec.train.batch_size < world:
        raise InputError(
            f"train.batch_size: must be at least the number of processes ({world}), got {spec.train.batch_size}"
        )


def count_steps(prepared: Prepared) -> tuple[int, int]:
    """Return the steps of an epoch and of the whole run."""
    train = prepared.spec.train
    per_epoch = len(seewhy_data.batch_bounds(len(prepared.dataset.train), train.batch_size))
    return per_epoch, max(1, round(train.epochs * per_epoch))


def cycle_ends(total_steps: int, count: int) -> list[int]:
    """Return the steps after which the learning rate's cycles end.

    Raises:
        InputError: there are fewer steps than cycles.
    """
    if total_steps < count:
        raise InputError(f"train.snapshots: must be at most the number of steps ({total_steps}), got {count}")
    return [total_steps * index // count for index in range(1, count + 1)]


def _batches(prepared: Prepared, objective: Objective, train: Split) -> Callable[[int, int], Iterator[Batch]]:
    """Return the source of this process's batches: (epoch, first step within it) -> batches, augmented."""
    spec, engine = prepared.spec, prepared.engine
    source = partial(
        seewhy_data.batches,
        train,
        batch_size=spec.train.batch_size,
        seed=derive(spec.train.seed, "data"),
        augment=objective.augment if objective.precomputed is None else None,
        shard=(engine.rank, engine.world),
        overlap=spec.optim.overlap,
        balance=spec.data.balance,
    )
    return lambda epoch, start: source(epoch=epoch, start=start)
