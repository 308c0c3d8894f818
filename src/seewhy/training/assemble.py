"""From a specification to a job: data, network, speed, plan.

The order matters: everything that can be refused is refused first, nothing is written before the plan stands.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from seewhy import data as seewhy_data
from seewhy import models, optim
from seewhy.core.errors import InputError
from seewhy.core.seeding import derive, generator
from seewhy.data import Augment, Batch, Cutout, Dataset, Mix, Part, RandomErasing, ResizedCrop
from seewhy.optim.penalties import Penalties
from seewhy.training.fabric import Engine, choose_device, choose_precision
from seewhy.training.generators.build import density, empty_generator, generator_task
from seewhy.training.generators.game import Game, play
from seewhy.training.generators.task import mean_figures
from seewhy.training.loop.averaging import MovingAverage
from seewhy.training.loop.checkpoint import Checkpoint, Checkpoints, snapshot_file
from seewhy.training.loop.events import DataProgress, Emit
from seewhy.training.loop.job import Job, Take
from seewhy.training.loop.steps import descend, search
from seewhy.training.results.evaluation import mean_scores
from seewhy.training.spec import RegSpec, RunSpec
from seewhy.training.spec.defaults import Facts, resolve, resolve_budget
from seewhy.training.spec.sections import GENERATORS, SECOND_ORDER
from seewhy.training.tasks import Recognition

OVERLAP = 0.25
"""Share of a batch that quasi-Newton methods see again in the next one: what their pairs are measured on."""

QUASI_NEWTON = ("dfp", "bfgs", "lbfgs")

GAME_BETAS = (0.5, 0.999)
"""Adam's decays in a game, where a long memory of gradients oscillates (Radford et al. 2016, 1511.06434)."""

PREPARATION_IMAGES = 5000
"""Training images from which data-dependent weights (whitening filters) are computed."""


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start: its resolved specification, data, engine and untrained network."""

    spec: RunSpec
    dataset: Dataset
    facts: Facts
    engine: Engine
    model: torch.nn.Module
    images_per_second: float


def prepare(spec: RunSpec, emit: Emit, *, measure: bool = True) -> Prepared:
    """Read the data, resolve the specification, and build the network.

    Args:
        spec: what is wanted.
        emit: told of the progress of decoding.
        measure: time a few steps to estimate the run (and to fit a budget in minutes); a resumed run has no need.
    """
    device = choose_device(spec.train.device)
    # Differences of losses and gradients along a line are lost in bfloat16.
    exact = spec.optim.name in SECOND_ORDER and spec.train.precision == "auto"
    precision = "fp32" if exact else choose_precision(spec.train.precision, device)
    engine = Engine(device=device, precision=precision, threads=spec.train.threads)
    dataset = load_data(spec, emit)
    if spec.model.name in GENERATORS and len(dataset.train) < 2:
        raise InputError(
            f"data: {spec.source} has {len(dataset.train)} training images; a generator needs at least two"
        )
    facts = facts_of(dataset)
    spec = resolve(spec, facts).with_changes(
        {
            "source": absolute_source(spec.source),
            "train.device": device,
            "train.precision": precision,
            "train.threads": spec.train.threads or torch.get_num_threads(),
        }
    )
    model = build_model(spec, facts, dataset)
    speed = engine.agreed(measure_speed(spec, model, engine, facts)) if measure else 0.0
    return Prepared(resolve_budget(spec, facts, speed) if measure else spec, dataset, facts, engine, model, speed)


def absolute_source(source: str) -> str:
    """Return a source that means the same from any working directory: built-in names stay, paths become absolute."""
    return source if seewhy_data.is_builtin(source) else str(Path(source).resolve())


def load_data(spec: RunSpec, emit: Emit) -> Dataset:
    """Read the data set of a specification."""
    found = seewhy_data.prepare(
        spec.source,
        **spec.data.model_dump(),
        fewest_classes=1 if spec.model.name in GENERATORS else 2,
        progress=lambda done, total: emit(DataProgress(done, total)),
    )
    if not spec.train.bootstrap:
        return found
    count = len(found.train)
    draw = torch.randint(count, (count,), generator=generator(spec.train.seed, "bootstrap"))
    return replace(found, train=found.train.take(draw.sort().values))


def facts_of(dataset: Dataset) -> Facts:
    """Return what the defaults depend on."""
    return Facts(
        height=dataset.height,
        width=dataset.width,
        channels=dataset.channels,
        classes=len(dataset.classes),
        train_images=len(dataset.train),
        val_images=len(dataset.val) if dataset.val is not None else 0,
        test_images=len(dataset.test) if dataset.test is not None else 0,
        mirrorable=dataset.mirrorable,
    )


def build_model(spec: RunSpec, facts: Facts, dataset: Dataset) -> torch.nn.Module:
    """Build the network with the weights that (seed, data) determine."""
    draw = torch.randperm(len(dataset.train), generator=generator(spec.train.seed, "preparation"))[:PREPARATION_IMAGES]
    sample = dataset.train.images(draw.sort().values)
    if spec.model.name in GENERATORS:
        made = empty_generator(spec, facts)
        made.prepare(sample)
        return cast("torch.nn.Module", made)
    network = empty_model(spec, facts, mean=dataset.mean, std=dataset.std)
    models.prepare(network, sample, design_of(spec))
    return network


def design_of(spec: RunSpec) -> models.Design:
    """Return the network's choices of a resolved specification."""
    model = spec.model
    return models.Design(
        activation=model.activation or "",
        pieces=model.pieces,
        keep_parameters=model.keep_parameters,
        shared=model.shared,
        init=model.init or "",
        init_std=model.init_std,
        norm=model.norm or "",
        norm_init=model.norm_init,
        width=model.width or 0,
        depth=model.depth or 0,
        stem=model.stem,
        dropout=spec.reg.dropout,
        input_dropout=spec.reg.input_dropout,
        dropout_kind=spec.reg.dropout_kind,
        dropconnect=spec.reg.dropconnect,
        dropconnect_shared=spec.reg.dropconnect_shared,
        stochastic_depth=spec.reg.stochastic_depth,
        pool=model.pool,
    )


def empty_model(spec: RunSpec, facts: Facts, *, mean: tuple[float, ...], std: tuple[float, ...]) -> models.Recogniser:
    """Build the network of a resolved specification, before it has seen data."""
    net = models.build(
        spec.model.name or "",
        in_shape=(facts.channels, facts.height, facts.width),
        classes=facts.classes,
        generator=generator(spec.train.seed, "weights"),
        design=design_of(spec),
    )
    if spec.model.inputs == "unit":
        mean, std = (0.0,) * facts.channels, (1.0,) * facts.channels
    return models.Recogniser(net, mean, std)


def make_optimizer(spec: RunSpec, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser of a resolved specification."""
    chosen = spec.optim
    assert chosen.name is not None
    assert chosen.lr is not None
    built = optim.build(
        chosen.name,
        model.named_parameters(),
        lr=chosen.lr,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay or 0.0,
    )
    if spec.model.name == "gan" and chosen.name in ("adam", "adamw"):
        for group in built.param_groups:
            group["betas"] = GAME_BETAS
    return built


def make_task(spec: RunSpec) -> Recognition:
    """Return the task of a resolved specification of a recogniser."""
    return Recognition(label_smoothing=spec.reg.label_smoothing or 0.0, tta=spec.train.tta or "none")


def measure_speed(spec: RunSpec, model: torch.nn.Module, engine: Engine, facts: Facts) -> float:
    """Return the training speed in images/s over all processes: whole steps on a throw-away copy of the network."""
    count = max(8, min((spec.train.batch_size or 1) // engine.world, 512 if facts.side <= 64 else 64))
    images = torch.randint(0, 256, (count, facts.channels, facts.height, facts.width), dtype=torch.uint8)
    images = images.contiguous(memory_format=torch.channels_last).to(engine.device)
    labels = torch.randint(0, facts.classes, (count,)).to(engine.device)
    network = copy.deepcopy(model).to(engine.device).train()
    optimizer, task = (
        make_optimizer(spec, network),
        generator_task(spec) if spec.model.name in GENERATORS else make_task(spec),
    )

    def graph() -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        with engine.autocast():
            logits = network(images)
            return make_task(spec).loss(logits, labels), logits

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        torch.manual_seed(0)  # dropout's masks belong to the function that is searched
        with engine.autocast():
            loss, _ = task.losses(network, images, labels, labels, 0.0)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    objective: Any = closure
    if isinstance(optimizer, optim.Newton):
        objective = graph if optimizer.curvature == "gauss_newton" else lambda: graph()[0]
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        if spec.optim.name in SECOND_ORDER:
            optimizer.step(objective)
        else:
            loss = closure()
            optimizer.step()
            loss.item()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return engine.world * count / best


def make_job(prepared: Prepared, folder: Path, emit: Emit, resumed: Checkpoint | None) -> Job:
    """Put the parts of a run together; with `resumed`, weights and optimiser go on from there."""
    spec, engine, choices = prepared.spec, prepared.engine, prepared.spec.train
    per_epoch, total_steps = count_steps(prepared)
    optimizer = make_optimizer(spec, prepared.model)
    base_lrs = tuple(group["lr"] for group in optimizer.param_groups)
    penalties = make_penalties(spec.reg, prepared.model, optimizer)
    sparse = penalties.names if penalties is not None and penalties.l1 else ()
    average = MovingAverage(prepared.model, choices.ema, sparse) if choices.ema else None
    if resumed is not None:
        prepared.model.load_state_dict(resumed.model)
        optimizer.load_state_dict(dict(resumed.optimizer))
        if average is not None:
            average.load(resumed.average)
    wrapped, engine_optimizer = engine.setup(prepared.model, optimizer)
    closures = spec.optim.name in SECOND_ORDER
    ends = cycle_ends(total_steps, choices.snapshots)
    one = optim.schedule(
        spec.optim.schedule or "", total_steps=max(1, total_steps // len(ends)), warmup=spec.optim.warmup
    )
    validation = prepared.dataset.val if len(prepared.dataset.val) else None
    early = choices.early_resolution or prepared.facts.side
    return Job(
        engine=engine,
        task=generator_task(spec) if spec.model.name in GENERATORS else make_task(spec),
        take=_take(spec),
        validate=_validation(spec, engine, validation) if validation is not None and spec.model.name != "gan" else None,
        model=prepared.model,
        wrapped=wrapped,
        optimizer=optimizer if closures else engine_optimizer,
        penalties=penalties,
        classes=prepared.facts.classes,
        base_lrs=base_lrs,
        schedule=optim.in_cycles(one, ends),
        batches=_batches(prepared),
        mix=make_mix(spec.reg),
        early_steps=round(choices.early_fraction * total_steps) if early < prepared.facts.side else 0,
        early_side=early,
        steps_per_epoch=per_epoch,
        total_steps=total_steps,
        seed=choices.seed,
        average=average,
        patience=choices.patience,
        snapshots={end: snapshot_file(folder, place) for place, end in enumerate(ends, start=1) if len(ends) > 1},
        checkpoints=Checkpoints(folder / "checkpoint"),
        checkpoint_seconds=choices.checkpoint_seconds,
        emit=emit,
    )


def _take(spec: RunSpec) -> Take:
    """Return what takes a step."""
    if spec.model.name == "gan":
        return partial(play, Game(spec.generator.conditional))
    return partial(search, make_task(spec)) if spec.optim.name in SECOND_ORDER else descend


def _validation(spec: RunSpec, engine: Engine, part: Part) -> Callable[[torch.nn.Module], dict[str, float]]:
    """Return what measures a network on the validation part."""
    if spec.model.name in GENERATORS:
        return partial(mean_figures, engine, density(spec), part)
    return partial(_validate, engine, replace(make_task(spec), tta="none"), part)


def _validate(engine: Engine, task: Recognition, part: Part, model: torch.nn.Module) -> dict[str, float]:
    """Return the validation figures; one view an image is enough to compare epochs, and leaves the time to training."""
    loss, accuracy = mean_scores(engine, task, model, part)
    return {"loss": loss, "accuracy": accuracy}


def count_steps(prepared: Prepared) -> tuple[int, int]:
    """Return the steps of an epoch and of the whole run."""
    choices = prepared.spec.train
    per_epoch = len(seewhy_data.batch_bounds(len(prepared.dataset.train), choices.batch_size or 1))
    return per_epoch, max(1, round((choices.epochs or 0.0) * per_epoch))


def cycle_ends(total_steps: int, count: int) -> list[int]:
    """Return the steps after which the learning rate's cycles end.

    Raises:
        InputError: there are fewer steps than cycles.
    """
    if total_steps < count:
        raise InputError(f"train.snapshots: must be at most the number of steps ({total_steps}), got {count}")
    return [total_steps * place // count for place in range(1, count + 1)]


def make_augment(reg: RegSpec, mean: tuple[float, ...]) -> Augment:
    """Return the augmentation of a resolved specification; holes show the mean colour of the training images."""
    hole = (
        Cutout(side=reg.cutout, fill=mean)
        if reg.cutout
        else RandomErasing(probability=reg.erasing, fill="noise")
        if reg.erasing
        else None
    )
    return Augment(
        crop_padding=reg.crop_padding or 0,
        flip=reg.flip or "none",
        brightness=reg.brightness,
        contrast=reg.contrast,
        saturation=reg.saturation,
        hue=reg.hue,
        resized_crop=ResizedCrop(scale=(reg.resized_crop, 1.0)) if reg.resized_crop is not None else None,
        hole=hole,
    )


def make_penalties(reg: RegSpec, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Penalties | None:
    """Return the penalties on weights, None without any."""
    if not (reg.l1 or reg.l2 or reg.max_norm is not None):
        return None
    return Penalties(model, optimizer, l1=reg.l1, l2=reg.l2, max_norm=reg.max_norm, everything=reg.penalise_all)


def make_mix(reg: RegSpec) -> Mix | None:
    """Return how pairs of images are mixed, None if they are not."""
    if reg.mixup:
        return Mix(alpha=reg.mixup, kind="mixup")
    return Mix(alpha=reg.cutmix, kind="cutmix") if reg.cutmix else None


def _batches(prepared: Prepared) -> Callable[[int, int], Iterator[Batch]]:
    """Return the source of this process's batches: (epoch, first step within it) -> batches, augmented."""
    choices, engine = prepared.spec.train, prepared.engine
    found = partial(
        seewhy_data.batches,
        prepared.dataset.train,
        batch_size=choices.batch_size or 0,
        seed=derive(choices.seed, "data"),
        augment=make_augment(prepared.spec.reg, prepared.dataset.mean),
        rank=engine.rank,
        world=engine.world,
        overlap=OVERLAP if prepared.spec.optim.name in QUASI_NEWTON else 0.0,
    )
    return lambda epoch, start: found(epoch=epoch, start=start)
