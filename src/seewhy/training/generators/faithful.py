"""How faithful a generator's pictures are, and whether they are its own: drawn pictures against real ones, by a named extractor.

Real pictures are those of the run's unseen part; a second comparison, of training pictures with them, says what the same figures are
where nothing was generated. Autoregressive networks draw in their levels of brightness, so the real pictures are shown in those too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError, bad_value
from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.training.fidelity.coverage import class_coverage
from seewhy.training.fidelity.distances import frechet_distance, kernel_distance
from seewhy.training.fidelity.extractor import Extractor, of_run, pixels
from seewhy.training.fidelity.neighbours import density_coverage, memorisation, precision_recall
from seewhy.training.generators.draw import network_for
from seewhy.training.results.folder import RunFolder
from seewhy.training.spec.sections import AUTOREGRESSIVE

DRAWN = 2000
"""Pictures that are drawn to be measured, unless another number is asked for."""

TRAINING = 10_000
"""Training pictures among which nearest ones are looked for, at most."""


@dataclass(frozen=True)
class Fidelity:
    """The figures of drawn pictures.

    Attributes:
        extractor: whose features they are of.
        part: which real pictures they were compared with.
        n: pictures drawn.
        drawn: figures of drawn against real pictures: fid, kid, precision, recall, density, coverage, with their sample sizes.
        real: fid and kid of training pictures against the same real ones.
        memorisation: how near drawn pictures are to training pictures, over how near real ones are.
        classes: how the classes are covered, by a recogniser; None where the extractor is none.
    """

    extractor: str
    part: str
    n: int
    drawn: dict[str, Any]
    real: dict[str, Any]
    memorisation: dict[str, Any]
    classes: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))

    def lines(self) -> list[tuple[str, str]]:
        """Return the figures in words, as (label, value)."""
        drawn, real, own = self.drawn, self.real, self.memorisation
        error = drawn["kid"]["standard_error"]
        found = [
            ("Features", self.extractor),
            ("Drawn, real", f"{self.n:,}, {drawn['fid']['n_real']:,} ({self.part})"),
            ("FID", f"{drawn['fid']['fid']:.2f} (training pictures: {real['fid']['fid']:.2f})"),
            ("KID", f"{drawn['kid']['kid']:.4g}" + (f", standard error {error:.2g}" if error is not None else "")),
            (
                "Precision, recall",
                f"{drawn['precision_recall']['precision']:.3f}, {drawn['precision_recall']['recall']:.3f}",
            ),
            (
                "Density, coverage",
                f"{drawn['density_coverage']['density']:.3f}, {drawn['density_coverage']['coverage']:.3f}",
            ),
            (
                "Nearest training picture",
                f"{own['ratio']:.3f} times as far as from a real one; below 1 tells of copying",
            ),
        ]
        if self.classes is not None:
            said = f"{self.classes['covered']} of {self.classes['classes']}"
            found.append(("Classes covered", said + (": collapsed" if self.classes["collapsed"] else "")))
        return found


def fidelity(run: RunFolder, *, extractor: RunFolder | None = None, n: int = DRAWN, seed: int = 0) -> Fidelity:
    """Measure the pictures that a run's generator draws.

    Args:
        run: of a generator.
        extractor: the run of a recogniser of such pictures; None takes the pixels themselves.
        n: pictures to draw, at least 100.
        seed: of their noise.

    Raises:
        InputError: the run is no generator, the extractor no recogniser or of other pictures, or there are too few pictures.
    """
    network_for(run, "draw pictures")
    if n < 100:
        raise bad_value("n", n, "at least 100, for figures that mean something")
    facts = run.data["facts"]
    shape = (facts["channels"], facts["height"], facts["width"])
    reader = pixels(shape)
    if extractor is not None:
        reader = of_run(extractor)
        theirs = extractor.data["facts"]
        if (theirs["channels"], theirs["height"], theirs["width"]) != shape:
            raise InputError(
                f"{extractor.folder}: looks at other pictures than {run.folder} draws; train it at the same resolution"
            )
    dataset = seewhy_data.prepare(run.spec.source, **{**run.spec.data.model_dump(), "resolution": facts["width"]})
    name, part = ("test", dataset.test) if dataset.test is not None and len(dataset.test) else ("val", dataset.val)
    if len(part) < 100:
        raise InputError(
            f"{run.spec.source}: has {len(part)} unseen pictures; at least 100 are needed for figures that mean something"
        )
    return _measured(run, reader, name, part, dataset.train, n, seed)


def _measured(run: RunFolder, reader: Extractor, name: str, part: Part, training: Part, n: int, seed: int) -> Fidelity:
    drawn = reader.read(_drawn(run, training, n, seed))
    real = reader.read(_shown(run, part, n))
    known = reader.read(_shown(run, training, TRAINING))
    about = reader.name
    noise = generator(seed, "fidelity")
    some = torch.randperm(len(known.features), generator=noise)[: len(real.features)]
    figures = {
        "fid": frechet_distance(real.features, drawn.features, extractor=about).to_json(),
        "kid": kernel_distance(real.features, drawn.features, extractor=about, generator=noise).to_json(),
        "precision_recall": precision_recall(real.features, drawn.features, extractor=about).to_json(),
        "density_coverage": density_coverage(real.features, drawn.features, extractor=about).to_json(),
    }
    apart = {
        "fid": frechet_distance(real.features, known.features[some], extractor=about).to_json(),
        "kid": kernel_distance(real.features, known.features[some], extractor=about, generator=noise).to_json(),
    }
    copies = memorisation(drawn.features, known.features, real.features, extractor=about).to_json()
    classes = None
    if drawn.probabilities is not None:
        shares = torch.bincount(training.labels, minlength=len(run.classes)).double()
        classes = class_coverage(drawn.probabilities, shares / shares.sum(), recogniser=about).to_json()
    return Fidelity(about, name, n, figures, apart, copies, classes)


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
