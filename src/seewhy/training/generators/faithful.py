"""How faithful a generator's pictures are, and whether they are its own: drawn pictures against real ones, by a named extractor.

Real pictures are those of the run's unseen part; a second comparison, of training pictures with them, says what the same figures are
where nothing was generated. Autoregressive networks draw in their levels of brightness, so the real pictures are shown in those too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError, bad_value
from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.training.fidelity.extractor import INCEPTION, Extractor, Reading, inception, of_run, pixels
from seewhy.training.fidelity.measure import Fidelity, measure
from seewhy.training.generators.draw import MOST, network_for, whole, within
from seewhy.training.results.folder import RunFolder
from seewhy.training.spec.sections import AUTOREGRESSIVE

DRAWN = 2000
"""Pictures that are drawn to be measured, unless another number is asked for."""

LEAST = 100
"""The fewest pictures, drawn and real, whose figures mean something."""

TRAINING = 10_000
"""Training pictures among which nearest ones are looked for, at most."""

VALIDATION = 1000
"""Pictures on which the width of Parzen windows is chosen, at most, as in the authors' code."""


def in_words(found: Fidelity) -> list[tuple[str, str]]:
    """Return the figures in words, as (label, value)."""
    drawn, real, own = found.drawn, found.yardstick, found.memorisation_in_pixels
    error = drawn.kernel.standard_error
    said = [
        ("Features", drawn.frechet.extractor),
        ("Drawn, real pictures", f"{drawn.frechet.n_drawn:,}, {drawn.frechet.n_real:,}"),
        ("FID", f"{drawn.frechet.fid:.2f} (real pictures: {real.frechet.fid:.2f})"),
        ("KID", f"{drawn.kernel.kid:.4g}" + (f", standard error {error:.2g}" if error is not None else "")),
        ("Precision, recall", f"{drawn.precision_recall.precision:.3f}, {drawn.precision_recall.recall:.3f}"),
        ("Density, coverage", f"{drawn.density_coverage.density:.3f}, {drawn.density_coverage.coverage:.3f}"),
        ("Nearest training picture", f"{own.ratio:.3f} times as far as from a real one; below 1 tells of copying"),
    ]
    window, best = found.parzen, found.parzen_yardstick
    said.append(
        (
            "Parzen windows in pixels",
            f"{window.nats:.0f} nats, standard error {window.standard_error:.1f}, width {window.width:.2g} "
            f"(training pictures: {best.nats:.0f})",
        )
    )
    if found.classes is not None:
        known = f"{found.classes.covered} of {found.classes.classes}"
        said.append(("Classes covered", known + (": collapsed" if found.classes.collapsed else "")))
    return said


def fidelity(run: RunFolder, *, extractor: RunFolder | str | None = None, n: int = DRAWN, seed: int = 0) -> Fidelity:
    """Measure the pictures that a run's generator draws.

    Args:
        run: of a generator.
        extractor: the run of a recogniser of such pictures, or "inception"; None takes the pixels themselves.
        n: pictures to draw, at least 100.
        seed: of their noise.

    Raises:
        InputError: the run is no generator, the extractor no recogniser or of other pictures, or there are too few pictures.
    """
    network_for(run, "draw pictures")
    if whole("n", n) < LEAST:
        raise bad_value("n", n, f"at least {LEAST}, for figures that mean something")
    n = within("n", n, LEAST, MOST)
    facts = run.data["facts"]
    shape = (facts["channels"], facts["height"], facts["width"])
    reader = _reader(run, shape, extractor)
    fields = {**run.spec.data.model_dump(), "resolution": facts["width"], "fewest_classes": 1}
    dataset = seewhy_data.prepare(run.spec.source, **fields)
    part = dataset.test if dataset.test is not None and len(dataset.test) else dataset.val
    if len(part) < LEAST:
        raise InputError(
            f"{run.spec.source}: has {len(part)} unseen pictures; at least {LEAST} are needed for figures that mean something"
        )
    known = extractor.classes if isinstance(extractor, RunFolder) else run.classes
    if set(known) != set(run.classes):
        reader = _without_classes(reader)
    counts = torch.bincount(dataset.train.labels, minlength=len(run.classes)).tolist()
    return measure(
        reader,
        _drawn(run, dataset.train, n, seed),
        _shown(run, dataset.train, TRAINING),
        _shown(run, part, n),
        counts=[counts[run.classes.index(name)] if name in run.classes else 0 for name in known],
        validation=None if part is dataset.val or len(dataset.val) < LEAST else _shown(run, dataset.val, VALIDATION),
    )


def _reader(run: RunFolder, shape: tuple[int, int, int], extractor: RunFolder | str | None) -> Extractor:
    """Return the extractor that is asked for, of pictures (C, H, W)."""
    if extractor is None:
        return pixels(shape)
    if not isinstance(extractor, RunFolder):
        if extractor != INCEPTION:
            raise bad_value("extractor", extractor, f"the run of a recogniser, or '{INCEPTION}'")
        return inception()
    theirs = extractor.data["facts"]
    reader = of_run(extractor)
    if (theirs["channels"], theirs["height"], theirs["width"]) != shape:
        raise InputError(
            f"{extractor.folder}: looks at other pictures than {run.folder} draws; train it at the same resolution"
        )
    return reader


def _without_classes(reader: Extractor) -> Extractor:
    """Return an extractor of other pictures' classes, among which the drawn ones cannot be counted: its features alone."""
    return Extractor(reader.name, lambda images: Reading(reader.read(images).features, None))


@torch.no_grad()
def _drawn(run: RunFolder, training: Part, n: int, seed: int) -> Tensor:
    """Draw n pictures, of the classes in the training pictures' shares where the generator is told them."""
    device = run.engine.device
    labels = None
    if run.spec.generator.conditional:
        chosen = torch.randint(len(training), (n,), generator=generator(seed, "classes"))
        labels = training.labels[chosen].to(device)
    return torch.as_tensor(run.model.sample(n, labels, generator=generator(seed, "sample", device=device))).cpu()


def _shown(run: RunFolder, part: Part, most: int) -> Tensor:
    """Return real pictures, at most so many, evenly from the part, in the levels that the generator draws."""
    rows = torch.linspace(0, len(part) - 1, min(most, len(part))).long()
    images = part.images(rows)
    if run.spec.model.name in AUTOREGRESSIVE:
        levels = run.model.levels
        images = levels.pictures(levels.values(images, generator(0, "real")))
    return images
