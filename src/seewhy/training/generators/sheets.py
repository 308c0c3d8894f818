"""Sheets of pictures that a trained generator makes, for its report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.files import naming
from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.models.latent.journeys import by_information, interpolate, quantiles, shown, traverse
from seewhy.training.fidelity.neighbours import nearest
from seewhy.training.results.folder import RunFolder
from seewhy.training.results.pictures import pixels_of, save_picture
from seewhy.training.spec.sections import AUTOREGRESSIVE, LATENT

FOLDER = "generated"
SHOWN = 64
"""Pictures of a sheet of samples."""

NEAREST, SEARCHED = 12, 10_000
"""Drawn pictures whose nearest training pictures are shown, and among how many."""

GIVEN = 8
"""Pictures that are completed or reconstructed."""

STEPS = 9
"""Pictures along a way through codes."""

MEASURED = 5000
"""Pictures by which the use of the code's dimensions is measured."""

Made = tuple[str, Tensor, int, str]
"""(name, pictures (N, C, H, W), columns, caption)."""


def write_sheets(run: RunFolder, model: Any, part: Part, training: Part) -> list[dict[str, str]]:
    """Draw the sheets that this generator can; return their files, names and captions.

    Args:
        run: where they go.
        model: the trained generator.
        part: pictures that were not trained on.
        training: pictures that were.
    """
    from seewhy.reporting import grid

    home = run.folder / FOLDER
    with naming(home):
        home.mkdir(exist_ok=True)
    written = []
    with torch.no_grad():
        for name, images, columns, caption in _sheets(run, model, part, training):
            save_picture(grid(pixels_of(images), columns=columns), home / f"{name.replace(' ', '-')}.png")
            written.append({"file": f"{FOLDER}/{name.replace(' ', '-')}.png", "name": name, "caption": caption})
    return written


def _sheets(run: RunFolder, model: Any, part: Part, training: Part) -> Iterator[Made]:
    spec, device = run.spec, run.engine.device
    samples = _samples(run, model)
    yield samples
    yield _nearest(samples[1], training)
    rows = torch.linspace(0, len(part) - 1, min(GIVEN, len(part))).long()
    images = part.images(rows).to(device)
    labels = part.labels[rows].to(device) if spec.generator.conditional else None
    if spec.model.name in AUTOREGRESSIVE:
        yield _completions(run, model, images, labels)
    if spec.model.name in LATENT:
        made = model.reconstruct(images, labels, generator=generator(spec.train.seed, "reconstruct", device=device))
        caption = "Top: pictures that were not trained on. Below: from their codes."
        yield "reconstructions", torch.cat([images, made]), len(images), caption
        yield _ways(run, model, images, labels)
    if spec.model.name == "autoencoder":
        noise = generator(spec.train.seed, "standard", device=device)
        told = _told(run, SHOWN)
        drawn = model.sample(SHOWN, told, generator=noise, prior="standard")
        caption = (
            "Codes drawn from N(0, I): the decoder was never taught what such codes mean. "
            "The samples above draw from a Gaussian fitted to real codes."
        )
        yield "random codes", drawn, math.isqrt(SHOWN), caption
    if spec.model.name == "vae":
        yield _traversals(run, model, part)


def _told(run: RunFolder, count: int) -> Tensor | None:
    """Return classes in turn, where the generator is told them."""
    if not run.spec.generator.conditional:
        return None
    return torch.arange(count, device=run.engine.device) % len(run.classes)


def _samples(run: RunFolder, model: Any) -> Made:
    classes = len(run.classes)
    told = run.spec.generator.conditional and classes <= 16
    columns = classes * max(1, math.isqrt(SHOWN) // classes) if told else math.isqrt(SHOWN)
    count = columns * (SHOWN // columns)
    noise = generator(run.spec.train.seed, "samples", device=run.engine.device)
    drawn = model.sample(count, _told(run, count), generator=noise)
    said = ", a class a column" if columns == classes else ", the classes in turn along each row"
    return "samples", drawn, columns, "Drawn pictures" + (f"{said}." if told and classes > 1 else ".")


def _nearest(drawn: Tensor, training: Part) -> Made:
    """Set drawn pictures beside the training pictures that are most like them, pixel by pixel."""
    some = drawn[:: max(1, len(drawn) // NEAREST)][:NEAREST].cpu()
    rows = torch.linspace(0, len(training) - 1, min(SEARCHED, len(training))).long()
    known = training.images(rows)
    places = nearest(some.flatten(1).float(), known.flatten(1).float(), 1)[1][:, 0]
    caption = f"Top: drawn. Below: the nearest of {len(rows):,} training pictures, by their pixels. Equal ones would be copies."
    return "nearest training pictures", torch.cat([some, known[places]]), len(some), caption


def _completions(run: RunFolder, model: Any, images: Tensor, labels: Tensor | None) -> Made:
    given = torch.zeros(images.shape[-2:], dtype=torch.bool, device=images.device)
    given[: images.shape[-2] // 2] = True
    made = [
        model.complete(
            images, given, labels, generator=generator(run.spec.train.seed, "complete", place, device=images.device)
        )
        for place in range(3)
    ]
    caption = "Top: pictures that were not trained on. Below: their upper halves completed, three times."
    return "completions", torch.cat([images, *made]), len(images), caption


def codes_of(run: RunFolder, model: Any, images: Tensor, labels: Tensor | None, seed: int) -> Tensor:
    """Return the code of each picture, (N, D): its mean, where it has a distribution. The seed is of stochastic values."""
    noise = generator(seed, "codes", device=images.device)
    if run.spec.model.name == "vae":
        return torch.as_tensor(model.posterior(images, labels, noise).mean)
    return torch.as_tensor(model.encode(images, labels, noise))


def _ways(run: RunFolder, model: Any, images: Tensor, labels: Tensor | None) -> Made:
    """Go from each picture's code to the next one's; the class, where it is told, is that of the start."""
    codes = codes_of(run, model, images, labels, run.spec.train.seed)
    starts, ends = codes[0::2], codes[1::2]
    path = interpolate(starts[: len(ends)], ends, STEPS).transpose(0, 1)  # (pairs, steps, D)
    told = None if labels is None else labels[0::2][: len(ends)].repeat_interleave(STEPS)
    made = model.coders.pictures(path.flatten(0, 1), told)
    return (
        "interpolations",
        made,
        STEPS,
        "From the code of one picture (left) to that of another (right), along a great circle.",
    )


def _traversals(run: RunFolder, model: Any, part: Part) -> Made:
    images, labels = measured(run, part)
    kl = model.describe(images, labels, generator(run.spec.train.seed, "describe", device=images.device)).kl
    order = by_information(kl)[: min(10, len(kl))]
    grid = traverse(torch.zeros_like(kl), order, quantiles(STEPS))
    pictures = shown(grid, model.pictures, None if labels is None else int(labels[0]))
    caption = "A row for each dimension of the code, the one with the most KL first; the others stay at 0."
    return "traversals", pictures.flatten(0, 1), STEPS, caption


def measured(run: RunFolder, part: Part) -> tuple[Tensor, Tensor | None]:
    """Return the pictures by which codes are measured, and their classes where the generator is told them."""
    rows = torch.linspace(0, len(part) - 1, min(MEASURED, len(part))).long()
    labels = part.labels[rows].to(run.engine.device) if run.spec.generator.conditional else None
    return part.images(rows).to(run.engine.device), labels
