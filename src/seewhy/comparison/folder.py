"""A study as a folder: what is compared, and where each of its runs lies.

STUDY/study.toml                    what is compared: variants as edits, seeds, metric, tuning
STUDY/base.toml                     the request that the variants edit, its budget settled
STUDY/runs/VARIANT/SEED/            a run; SEED.toml what was asked of it, SEED.log what it printed, SEED.failed.json why it could not go on,
                                    SEED.quality.json the figures of its samples where the study is judged by them
STUDY/tuning/VARIANT/RATE.../       short runs by which a variant's learning rate is chosen, from another seed
STUDY/screening/VARIANT/SEED/       runs by which hopeless variants are dropped (`--halving`), from other seeds
STUDY/results.json, results.csv     figures by variant and run, and the verdict
STUDY/report.html                   all of it to look at

A run is trained by whoever holds its lock, SEED.lock, which ends with the process that holds it. Everything that has been decided (a rate, which
variants go on) follows from the runs that have ended, so that nothing of it can be lost or decided twice.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w
from filelock import FileLock

from seewhy.comparison.design import Variant
from seewhy.comparison.quality import Sampling
from seewhy.core.errors import InputError, unknown_name
from seewhy.core.files import naming, refuse_taken, whole_folder, write_text
from seewhy.runs.launch import Job
from seewhy.spec import Metric, Request

FORMAT = 1

STUDY, BASE_REQUEST = "study.toml", "base.toml"

Tune = Literal["none", "lr"]
TUNES: tuple[Tune, ...] = ("none", "lr")

Kind = Literal["runs", "tuning", "screening"]
"""What a run is for; each has a folder of its own, and its figures serve nothing else."""


@dataclass(frozen=True)
class Design:
    """What a study compares, as study.toml holds it.

    Attributes:
        base: the request that the variants edit.
        variants: the choices.
        seeds: of the runs that are judged, the same for every variant.
        metric: by which they are judged.
        split: on which images: "test", or "val" where there are none held out for testing.
        reference: the variant with which all others are compared; None for all pairs.
        tune: "lr" where each variant's learning rate is chosen first.
        halving: whether the worse half of the variants is dropped after two seeds of their own, again and again.
        fingerprint: of the images.
        command: that made the study; "" where it was made from Python.
        run_seconds: what a run is expected to take, by variant.
        rates: the learning rate about which each variant's own is looked for; those that have none to tune are left out.
        selection: the metric of validation by which rates and survivors are chosen; None where there is none.
        sampling: how samples are judged, where the metric is of them; None else.
        fingerprints: of the images of variants that decode them in another way than the base.
    """

    base: Request
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    metric: Metric
    split: str
    reference: str | None
    tune: Tune
    halving: bool
    fingerprint: str
    command: str
    run_seconds: Mapping[str, float]
    rates: Mapping[str, float]
    selection: Metric | None = None
    sampling: Sampling | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def fingerprint_of(self, variant: Variant) -> str:
        """Return the fingerprint of the images as a variant decodes them."""
        return self.fingerprints.get(variant.name, self.fingerprint)

    def to_toml(self) -> str:
        """Return study.toml's text; the base request is a file of its own."""
        head = {
            "format": FORMAT,
            "seeds": list(self.seeds),
            "metric": self.metric._asdict(),
            **({"selection": self.selection._asdict()} if self.selection is not None else {}),
            **({"sampling": vars(self.sampling)} if self.sampling is not None else {}),
            "split": self.split,
            "reference": self.reference or "",
            "tune": self.tune,
            "halving": self.halving,
            "fingerprint": self.fingerprint,
            "command": self.command,
        }
        variants = [
            {
                "name": each.name,
                "edit": each.edit,
                "levels": dict(each.levels),
                "seconds": round(self.run_seconds[each.name], 3),
                **({"rate": self.rates[each.name]} if each.name in self.rates else {}),
                **({"fingerprint": self.fingerprints[each.name]} if each.name in self.fingerprints else {}),
            }
            for each in self.variants
        ]
        return tomli_w.dumps({**head, "variants": variants})


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        kind: what it is for.
        variant: whose.
        seed: of weights, order and augmentation.
        rate: of a tuning run, its learning rate.
    """

    kind: Kind
    variant: Variant
    seed: int
    rate: float | None = None

    @property
    def name(self) -> str:
        """Its name within the variant's folder."""
        return str(self.seed) if self.rate is None else f"lr-{self.rate:.3g}"


class StudyFolder:
    """A study's folder.

    Args:
        folder: that `seewhy compare` made.

    Raises:
        InputError: it is no study, is of another format, or a file is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._read_at = _modified(self.folder)
        self.design = _read(self.folder)

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self.design.variants)
        return f"StudyFolder({str(self.folder)!r}: {names}; {len(self.design.seeds)} seeds)"

    @classmethod
    def create(cls, folder: Path, design: Design) -> StudyFolder:
        """Make a study's folder, whole or not at all; raises InputError if something is there already."""
        refuse_taken(folder)
        with whole_folder(folder) as temporary:
            design.base.save(temporary / BASE_REQUEST)
            write_text(temporary / STUDY, design.to_toml())
        return cls(folder)

    def extend(self, design: Design) -> None:
        """Write a design with more seeds or variants; the runs that there are keep their places.

        Raises:
            InputError: another process has extended the study since this one has read it; nothing of that is lost.
        """
        with FileLock(self.folder / ".lock"):
            if _modified(self.folder) != self._read_at:
                raise InputError(
                    f"{self.folder}: was extended by another process meanwhile; give the same command again"
                )
            write_text(self.folder / STUDY, design.to_toml())
            self._read_at, self.design = _modified(self.folder), design

    def changed(self) -> bool:
        """Read the design again if somebody has extended it; returns whether it was."""
        modified = _modified(self.folder)
        if modified == self._read_at:
            return False
        self._read_at, self.design = modified, _read(self.folder)
        return True

    def job(self, cell: Cell) -> Job:
        """Return the process of one run."""
        home = self.folder / cell.kind / cell.variant.slug
        return Job(home / f"{cell.name}.toml", home / cell.name, home / f"{cell.name}.log")

    def lock(self, cell: Cell) -> Path:
        """Return the file whose lock whoever trains this run holds."""
        job = self.job(cell)
        return job.folder.with_name(f"{job.folder.name}.lock")

    def failure(self, cell: Cell) -> Path:
        """Return the file that says why a run could not go on, and how often it was tried."""
        job = self.job(cell)
        return job.folder.with_name(f"{job.folder.name}.failed.json")

    def quality(self, cell: Cell) -> Path:
        """Return the file with the figures of a run's samples, where the study is judged by them."""
        job = self.job(cell)
        return job.folder.with_name(f"{job.folder.name}.quality.json")

    def cells(self) -> Iterator[Cell]:
        """Yield the runs that are judged, seed by seed, so that what has ended can be compared when the rest is stopped."""
        for seed in self.design.seeds:
            for variant in self.design.variants:
                yield Cell("runs", variant, seed)

    def variant(self, name: str) -> Variant:
        """Return the variant called `name`; raises InputError with the nearest name."""
        for each in self.design.variants:
            if each.name == name:
                return each
        raise unknown_name("variant", name, [each.name for each in self.design.variants])


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study."""
    return (folder / STUDY).is_file()


def _modified(folder: Path) -> int:
    path = folder / STUDY
    return path.stat().st_mtime_ns if path.is_file() else 0


def _read(folder: Path) -> Design:
    path = folder / STUDY
    if not path.is_file():
        raise InputError(f"{folder}: is no study, for there is no {STUDY}; `seewhy compare DATA` makes one")
    try:
        with naming(path):
            values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise InputError(f"{path}: is of another version's format; this version reads format {FORMAT}")
        variants = tuple(Variant(v["name"], v["edit"], dict(v["levels"])) for v in values["variants"])
        return Design(
            base=Request.from_toml(folder / BASE_REQUEST),
            variants=variants,
            seeds=tuple(int(seed) for seed in values["seeds"]),
            metric=Metric(**values["metric"]),
            split=values["split"],
            reference=values["reference"] or None,
            tune=values["tune"],
            halving=values["halving"],
            fingerprint=values["fingerprint"],
            command=values["command"],
            run_seconds={v["name"]: float(v["seconds"]) for v in values["variants"]},
            rates={v["name"]: float(v["rate"]) for v in values["variants"] if "rate" in v},
            selection=Metric(**values["selection"]) if "selection" in values else None,
            sampling=Sampling(**values["sampling"]) if "sampling" in values else None,
            fingerprints={v["name"]: v["fingerprint"] for v in values["variants"] if "fingerprint" in v},
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error}); restore it") from None
