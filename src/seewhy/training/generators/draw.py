"""Pictures from a trained generator: samples, completions, reconstructions."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.core.seeding import derive, generator, seed_global
from seewhy.models.latent import journeys
from seewhy.training.generators.sheets import codes_of
from seewhy.training.results.folder import RunFolder
from seewhy.training.spec.sections import AUTOREGRESSIVE, GENERATORS, LATENT

Label = str | int | Sequence[str | int] | Tensor | None

MOST = 1_000_000
"""Pictures that are drawn in one call, at most."""

MOST_STEPS = 1000
"""Pictures along one way through codes, at most."""


def network_for(run: RunFolder, verb: str, names: Sequence[str] = GENERATORS) -> Any:
    """Return the run's generator; raises InputError if this kind of network cannot do what is asked."""
    name = run.spec.model.name
    if name not in names:
        article = "an" if name == "autoencoder" else "a"
        raise InputError(f"{run.folder}: is {article} {name}, which cannot {verb}; that is for {', '.join(names)}")
    return run.model


def whole(name: str, value: Any) -> int:
    """Return a whole number; raises InputError unless it is one."""
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or isinstance(value, bool):
        raise bad_value(name, value, "a whole number")
    return found


def within(name: str, value: Any, least: int, most: int) -> int:
    """Return a whole number; raises InputError unless it is one from `least` to `most`."""
    found = whole(name, value)
    if not least <= found <= most:
        raise bad_value(name, found, f"at least {least}" if found < least else f"at most {most:,}")
    return found


def checked_temperature(value: Any) -> float:
    """Return a temperature; raises InputError unless it is a finite number, at least 0."""
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise bad_value("temperature", value, "at least 0")


def labels_of(run: RunFolder, label: Label, count: int) -> Tensor | None:
    """Return the class of each of `count` pictures, None for a generator that is told none.

    Args:
        run: the run.
        label: a class by name or number, one for each picture, or None: all classes in turn.
        count: pictures.

    Raises:
        InputError: a class is not known, their number does not fit, or the generator is told no classes.
    """
    if not run.spec.generator.conditional:
        if label is not None:
            raise InputError(
                f"label: {run.folder} was trained without classes, got {label!r}; leave it out, or train with generator.conditional"
            )
        return None
    if label is None:
        return torch.arange(count) % len(run.classes)
    plain: Any = label.tolist() if isinstance(label, (Tensor, np.ndarray, np.generic)) else label
    given = list(plain) if isinstance(plain, (list, tuple)) else [plain]
    if len(given) not in (1, count):
        raise bad_value("label", given, f"one class, or one for each of {count} pictures")
    places = torch.tensor([_place(run, one) for one in given])
    return places.expand(count) if len(given) == 1 else places


def labels_seen(run: RunFolder, model: Any, images: Tensor, label: Label, seed: int) -> Tensor | None:
    """Return what `labels_of` does, but where no class is given that of each picture by which the network loses least: of the greatest bound.

    Args:
        run: of an autoencoder or VAE.
        model: its network.
        images: uint8 (N, C, H, W).
        label: as in `labels_of`.
        seed: of codes and stochastic values, the same for every class.
    """
    device = images.device
    labels = labels_of(run, label, len(images))
    if label is not None or labels is None:
        return None if labels is None else labels.to(device)
    losses = []
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else None):
        for place in range(len(run.classes)):
            seed_global(derive(seed, "classes"), device)
            losses.append(model(images, torch.full((len(images),), place, device=device))["loss"])
    return torch.stack(losses).argmin(0)


def _place(run: RunFolder, label: Any) -> int:
    one = label.item() if isinstance(label, (np.generic, Tensor)) and label.ndim == 0 else label
    if isinstance(one, str):
        if one not in run.classes:
            raise unknown_name("label", one, run.classes)
        return run.classes.index(one)
    if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < len(run.classes):
        raise bad_value("label", one, f"a class name, or a number from 0 to {len(run.classes) - 1}")
    return one


@torch.no_grad()
def sample(run: RunFolder, n: int, *, label: Label = None, seed: int = 0, temperature: float = 1.0) -> Tensor:
    """Return n drawn pictures, uint8 (n, C, H, W); equal seeds give equal pictures on one machine.

    Args:
        run: of a generator.
        n: from 1 to 1,000,000.
        label: a class, or one for each picture; None: all in turn, where the generator is told classes.
        seed: of the noise.
        temperature: below 1 likelier pictures, above 1 more varied ones.

    Raises:
        InputError: the run is no generator, or an argument is wrong.
    """
    model = network_for(run, "draw pictures")
    n, temperature = within("n", n, 1, MOST), checked_temperature(temperature)
    device = run.engine.device
    labels = _on(labels_of(run, label, n), device)
    drawn = model.sample(n, labels, generator=generator(seed, "sample", device=device), temperature=temperature)
    return torch.as_tensor(drawn).cpu()


def read(run: RunFolder, images: Any) -> Tensor:
    """Return pictures of the run's size, uint8 (N, C, H, W), from a path, a PIL picture, an array, a tensor, or a list of such.

    Raises:
        InputError: a picture cannot be read.
    """
    facts = run.data["facts"]
    several = isinstance(images, (list, tuple)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4)
    found = []
    for image in images if several else [images]:
        if isinstance(image, (str, Path)):
            decoded, bad = seewhy_data.decode_many([str(image)], resolution=facts["width"], channels=facts["channels"])
            if bad:
                raise InputError(f"{image}: {bad[0][1]}")
            found.append(decoded[0])
        else:
            found.append(seewhy_data.from_pixels(image, resolution=facts["width"], channels=facts["channels"]))
    if not found:
        raise InputError("images: must hold at least one picture")
    return torch.stack(found)


@torch.no_grad()
def complete(
    run: RunFolder,
    images: Any,
    *,
    rows: int | None = None,
    given: Tensor | None = None,
    label: Label = None,
    seed: int = 0,
    temperature: float = 1.0,
) -> Tensor:
    """Return pictures whose given pixels are kept exactly and whose others are drawn in raster order, uint8 (N, C, H, W).

    Args:
        run: of an autoregressive generator.
        images: a path, a PIL picture, an array, a tensor, or a list of such.
        rows: the uppermost rows are given; None for half of them.
        given: which pixels are given instead, bool (H, W) or broadcast to the pictures.
        label: as in `sample`.
        seed: of the noise.
        temperature: as in `sample`.

    Raises:
        InputError: the run is of another kind, or an argument is wrong.
    """
    model = network_for(run, "complete pictures", AUTOREGRESSIVE)
    height = run.data["facts"]["height"]
    if given is not None and rows is not None:
        raise InputError("rows, given: say the same in two ways; give one")
    temperature = checked_temperature(temperature)
    if rows is not None and not 0 <= whole("rows", rows) <= height:
        raise bad_value("rows", rows, f"from 0 to the pictures' height ({height})")
    device = run.engine.device
    pixels = read(run, images)
    kept = (
        (torch.arange(height) < (height // 2 if rows is None else rows))[:, None]
        if given is None
        else _kept(given, pixels)
    )
    made = model.complete(
        pixels.to(device),
        kept.to(device),
        _on(labels_of(run, label, len(pixels)), device),
        generator=generator(seed, "complete", device=device),
        temperature=temperature,
    )
    return torch.as_tensor(made).cpu()


def _kept(given: Any, pixels: Tensor) -> Tensor:
    """Return which pixels are given, bool; raises InputError unless they can be broadcast to the pictures."""
    found = torch.as_tensor(given)
    shape = tuple(pixels.shape)
    fits = found.ndim <= 4 and all(
        side in (1, whole) for side, whole in zip(reversed(found.shape), reversed(shape), strict=False)
    )
    if found.dtype != torch.bool or not fits:
        raise bad_value(
            "given", f"{found.dtype} {tuple(found.shape)}", f"bool {shape[2:]}, or broadcast to the pictures {shape}"
        )
    return found


@torch.no_grad()
def reconstruct(run: RunFolder, images: Any, *, label: Label = None, seed: int = 0) -> Tensor:
    """Return pictures from the codes of pictures, uint8 (N, C, H, W).

    Args:
        run: of an autoencoder or VAE.
        images: a path, a PIL picture, an array, a tensor, or a list of such.
        label: as in `sample`; None: the class by which each picture is likeliest.
        seed: of the codes' noise.

    Raises:
        InputError: the run is of another kind, or an argument is wrong.
    """
    model = network_for(run, "reconstruct pictures", LATENT)
    pixels, device = read(run, images).to(run.engine.device), run.engine.device
    labels = labels_seen(run, model, pixels, label, seed)
    noise = generator(seed, "reconstruct", device=device)
    made = model.reconstruct(pixels, labels, generator=noise)
    return torch.as_tensor(made).cpu()


@torch.no_grad()
def way(
    run: RunFolder,
    start: Any,
    end: Any,
    *,
    steps: int = 9,
    label: Label = None,
    path: str = "spherical",
    seed: int = 0,
) -> Tensor:
    """Return the pictures on the way from one picture's code to another's, uint8 (steps, C, H, W).

    Args:
        run: of an autoencoder or VAE.
        start: a path, a PIL picture, an array or a tensor.
        end: likewise.
        steps: from 2 to 1,000, both ends included.
        label: a class, where the generator is told classes; None: that by which each picture is likeliest, and the first one's on the way.
        path: "spherical" or "linear".
        seed: of black and white values that are drawn from the pictures' brightness.

    Raises:
        InputError: the run is of another kind, or an argument is wrong.
    """
    model = network_for(run, "go from code to code", LATENT)
    steps, device = within("steps", steps, 2, MOST_STEPS), run.engine.device
    images = torch.cat([read(run, start), read(run, end)]).to(device)
    if len(images) != 2:
        raise InputError(f"interpolate: goes from one picture to another, got {len(images)} pictures")
    labels = labels_seen(run, model, images, label, seed)
    codes = codes_of(run, model, images, labels, seed)
    found = journeys.interpolate(codes[:1], codes[1:], steps, path=path)[:, 0]
    made = model.coders.pictures(found, None if labels is None else labels[:1].expand(steps))
    return torch.as_tensor(made).cpu()


@torch.no_grad()
def along_dimensions(
    run: RunFolder, image: Any = None, *, steps: int = 9, dimensions: int = 10, label: Label = None, seed: int = 0
) -> Tensor:
    """Return pictures with one dimension of the code changed at a time, uint8 (dimensions x steps, C, H, W), a dimension after the other.

    Args:
        run: of a VAE.
        image: where to start; None for the middle of the codes.
        steps: places along each dimension, from its 2% to its 98% quantile; up to 1,000.
        dimensions: how many, those of the most KL (on the run's own unseen pictures) first; all where the code has fewer.
        label: a class, where the generator is told classes; None: that by which the picture is likeliest, the first without one.
        seed: of black and white values that are drawn from the picture's brightness.

    Raises:
        InputError: the run is of another kind, or an argument is wrong.
    """
    model = network_for(run, "change one dimension of a code", ("vae",))
    dimensions, steps = within("dimensions", dimensions, 1, MOST_STEPS), within("steps", steps, 1, MOST_STEPS)
    device = run.engine.device
    labels = _on(labels_of(run, label, 1), device)
    kept = run.read_json("generated.json")
    if "order" not in kept:
        raise InputError(
            f"{run.folder}: has not ended, so that the KL of its dimensions is not known yet; go on with `seewhy train --resume`"
        )
    order = torch.tensor(kept["order"][:dimensions], device=device)
    start = torch.zeros(model.coders.code, device=device)
    if image is not None:
        images = read(run, image).to(device)
        if len(images) != 1:
            raise InputError(f"traverse: starts from one picture, or from the middle, got {len(images)} pictures")
        labels = labels_seen(run, model, images, label, seed)
        start = codes_of(run, model, images, labels, seed)[0]
    codes = journeys.traverse(start, order, journeys.quantiles(steps))
    made = journeys.shown(codes, model.pictures, None if labels is None else int(labels[0]))
    return torch.as_tensor(made).flatten(0, 1).cpu()


def _on(labels: Tensor | None, device: torch.device) -> Tensor | None:
    return None if labels is None else labels.to(device)
