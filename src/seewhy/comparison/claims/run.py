"""Claims measured one after the other or two at a time, each result kept in a folder as soon as it is there."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import torch

from seewhy.comparison.claims.base import Claim
from seewhy.comparison.claims.catalogue import claim
from seewhy.comparison.claims.results import Result, read_result, write_result
from seewhy.comparison.claims.setting import load_setting
from seewhy.core.errors import InputError
from seewhy.core.files import naming
from seewhy.runs.environment import processor

Told = Callable[[Result, bool], None]
"""Called with each result and whether it was there already."""


def measure_claim(code: str, data: str, quick: bool, seeds: int | None) -> Result:
    """Measure one claim, on one thread."""
    with _one_thread():
        setting = load_setting(data, quick=quick, seeds=seeds)
        begun = time.perf_counter()
        measured = claim(code).measure(setting)
        seconds = time.perf_counter() - begun
    return Result(
        code=code,
        measured=measured,
        data=Path(data).name,
        images=setting.describe(),
        quick=quick,
        seeds=setting.seeds,
        seconds=round(seconds, 2),
        machine=_machine(),
        command=f"seewhy claims {code} --data {Path(data).name} --seeds {setting.seeds}{' --quick' if quick else ''}",
    )


def measure_claims(
    asked: Sequence[Claim],
    folder: Path,
    *,
    data: str = "digits",
    quick: bool = False,
    seeds: int | None = None,
    again: bool = False,
    jobs: int | None = None,
    told: Told | None = None,
) -> list[Result]:
    """Measure claims and return their results in the order of the claims.

    Claims that measure time run first, alone; of the others as many at a time as there are processes. What is in the folder already is not
    repeated, so that a measurement goes on where it was stopped.

    Args:
        asked: the claims.
        folder: where results are kept; made if it is not there.
        data: the images.
        quick: whether only the working of the experiments is tried.
        seeds: repetitions of each; None for the usual number.
        again: whether what is in the folder is measured again.
        jobs: processes; default: one a core, four at most.
        told: called with each result as it comes.

    Raises:
        InputError: the data are wrong, or the folder holds results on other data or of another form.
        RunError: the folder cannot be written.
    """
    setting = load_setting(data, quick=quick, seeds=seeds)  # what is wrong with the data is told before any work
    kept = {} if again else _kept(folder, asked, Path(data).name, quick, setting.seeds)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    found = dict(kept)
    for result in kept.values():
        if told is not None:
            told(result, True)
    open_ = [each for each in asked if each.code not in kept]
    for result in _measured(open_, data, quick, seeds, jobs or min(4, os.cpu_count() or 1)):
        write_result(folder, result)
        found[result.code] = result
        if told is not None:
            told(result, False)
    return [found[each.code] for each in asked]


def _measured(asked: Sequence[Claim], data: str, quick: bool, seeds: int | None, jobs: int) -> Iterator[Result]:
    """Yield results as they come."""
    alone = [each for each in asked if each.timed]
    beside = [each for each in asked if not each.timed]
    if jobs == 1 or len(beside) < 2:
        alone, beside = [*alone, *beside], []
    for each in alone:
        yield measure_claim(each.code, data, quick, seeds)
    if beside:
        from joblib import Parallel, delayed

        work = (delayed(measure_claim)(each.code, data, quick, seeds) for each in beside)
        yield from Parallel(n_jobs=min(jobs, len(beside)), return_as="generator_unordered")(work)


def _kept(folder: Path, asked: Sequence[Claim], data: str, quick: bool, seeds: int) -> dict[str, Result]:
    """Return the results that the folder holds of these claims."""
    found = {}
    for each in asked:
        path = folder / f"{each.code}.json"
        if path.is_file():
            result = read_result(path)
            if (result.data, result.quick, result.seeds) != (data, quick, seeds):
                form = " in the quick form" if result.quick else ""
                raise InputError(
                    f"--out: {path} is of {result.data} with {result.seeds} seeds{form}, not as asked; name another folder, or add --again"
                )
            found[each.code] = result
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _machine() -> dict[str, str]:
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "threads": "1",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "seewhy")},
    }
