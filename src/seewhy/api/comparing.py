"""Compare choices, and measure the canon's claims."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seewhy.api.given import edits, kept, place, plain, texts
from seewhy.comparison.asked import Asked, usual_jobs
from seewhy.comparison.claims.results import Result
from seewhy.comparison.create import create_study, extended_design, place_of
from seewhy.comparison.design import Layout, design_variants
from seewhy.comparison.execute import Engine
from seewhy.comparison.folder import Tune
from seewhy.comparison.progress import Progress
from seewhy.comparison.study import Study
from seewhy.core.errors import bad_value
from seewhy.core.files import user_path
from seewhy.data import ImageSource
from seewhy.runs.run import Run
from seewhy.runs.server import start_ahead, warm
from seewhy.runs.stopping import Stop
from seewhy.spec import build_request
from seewhy.training.events import Observer, emitter


def claims(
    codes: Iterable[str] = (),
    *,
    data: str = "digits",
    quick: bool = False,
    seeds: int | None = None,
    out: str | Path | None = None,
    again: bool = False,
    jobs: int | None = None,
    told: Callable[[Result, bool], None] | None = None,
) -> list[Result]:
    """Measure the canon's claims, and return their results in the order of the canon.

    >>> seewhy.claims(["C10"])[0].verdict.name     # doctest: +SKIP
    'depends'

    Args:
        codes: such as "C05"; all where none is named.
        data: "digits", "mnist", or the name or path of other images.
        quick: whether only the working of the experiments is tried.
        seeds: repetitions of each; None for 5, or 2 in the quick form.
        out: the folder in which results are kept as they come, and are not measured again; None for `claims/DATA`, or `claims/DATA-quick`.
        again: whether what is there is measured again.
        jobs: claims at a time; None for one a processor core. Those that measure time run alone.
        told: called with each result as it comes, and whether it was there already.

    Raises:
        InputError: a claim is not known, the data are wrong, or the folder holds results on others.
        RunError: the folder cannot be written.
    """
    from seewhy.comparison.claims.catalogue import claims as named
    from seewhy.comparison.claims.run import measure_claims

    asked = named(codes)
    if jobs is not None and jobs < 1:
        raise bad_value("jobs", jobs, "at least 1")
    folder = user_path(out or f"claims/{Path(data).name}{'-quick' if quick else ''}", "out")
    return measure_claims(asked, folder, data=data, quick=quick, seeds=seeds, again=again, jobs=jobs, told=told)


def compare(
    source: ImageSource | None = None,
    *,
    vary: Mapping[str, Sequence[Any]] | None = None,
    variants: Mapping[str, str | Mapping[str, Any]] | None = None,
    seeds: int = 5,
    design: Layout = "product",
    metric: str | None = None,
    reference: str | None = None,
    extractor: str | Path | Run | None = None,
    tune: Tune | None = None,
    halving: bool = False,
    budget: float | None = None,
    jobs: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    out: str | Path | None = None,
    spec: str | Path | Run | None = None,
    observers: Sequence[Observer] = (),
    told: Callable[[Progress], None] = lambda _: None,
    stop: Stop | None = None,
    **options: Any,
) -> Study:
    """Compare choices over seeds, and return the study: which is better on these images, and how sure that is.

    >>> study = seewhy.compare("photos/", vary={"activation": ["relu", "elu"]}, seeds=10)     # doctest: +SKIP
    >>> print(study.verdict().sentence())     # doctest: +SKIP

    Args:
        source: as in `train`.
        vary: the values of each factor, by field: `{"activation": ["relu", "elu"], "optim.lr": [0.1, 0.01]}`.
        variants: named edits of the base, as text or dictionaries: `{"wide": "model.width = 64", "augmented": {"flip": "random"}}`.
        seeds: runs of each variant; no verdict is given below 5. Split, order of the data and first weights are the same for the same seed.
        design: "product" for every combination of the factors, "one-at-a-time" for single changes of the base.
        metric: by which runs are judged, on test images where there are some; None for the usual one. Of generative models also a figure of
            their samples: fid, kid, precision, recall, density, coverage.
        extractor: of such a figure, the run of a classifier by whose features samples are compared, or "inception"; None for pixels.
        reference: the variant with which all others are compared; None: the base where there is one, else all pairs.
        tune: "lr" chooses each variant's learning rate from as many short runs on validation images first; "none" keeps the defaults; None is
            "lr" where the models have a metric of validation.
        halving: drop the worse half of the variants after two seeds of their own, again and again.
        budget: minutes for the whole study, from which the length of the runs follows; None for the runs' own budget.
        jobs: runs at the same time; None for one a processor core, one on a GPU.
        engine: "local", or "dask" or "ray" for a cluster (extras), with its `address`.
        address: see engine.
        out: the study's folder, which must not exist; None makes a name under `studies/`.
        spec: a TOML file or a run to start from, as in `train`.
        observers: callables that are given the progress of decoding.
        told: called every second with how far the study is.
        stop: asked between looks; True lets the running runs save, and ends.
        options: of the base, as in `train`.

    Raises:
        InputError: an option, a variant or the data are wrong; nothing has been written.
        RunError, KeyboardInterrupt: the study was stopped; `resume_study` goes on.
    """
    base = build_request(kept(source), place(spec), plain(options))
    levels = {name: texts(values) for name, values in (vary or {}).items()}
    chosen = design_variants(levels, edits(variants), base, design)
    at_once = jobs if jobs is not None else usual_jobs(base)
    features = None if extractor is None else os.fspath(place(extractor))
    asked = Asked(base, chosen, seeds, metric, reference, tune, halving, budget, at_once, extractor=features)
    with warm():
        if engine == "local":
            start_ahead()
        study = create_study(asked, place_of(out, base), emitter(tuple(observers)))
        study.work(at_once=at_once, engine=engine, address=address, stop=stop, told=told)
    return study


def resume_study(
    folder: str | Path | Study,
    *,
    seeds: int | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    variants: Mapping[str, str | Mapping[str, Any]] | None = None,
    design: Layout = "product",
    jobs: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    observers: Sequence[Observer] = (),
    told: Callable[[Progress], None] = lambda _: None,
    stop: Stop | None = None,
    trust: bool = False,
) -> Study:
    """Go on with a study where it stopped, with more seeds or variants where they are asked for; what has ended is kept.

    Args:
        folder: of the study.
        seeds: how many there are to be in all.
        vary, variants, design: further variants, as in `compare`.
        jobs, engine, address, observers, told, stop: as in `compare`.
        trust: whether the factories of networks that the study names may be imported.

    Raises:
        InputError: the folder is no study, its images have changed, or what is asked for is wrong.
    """
    study = folder if isinstance(folder, Study) else Study(user_path(folder, "folder"))
    if trust:
        study.trust()
    at_once = jobs if jobs is not None else usual_jobs(study.design.base)
    wanted = extended_design(
        study,
        emitter(tuple(observers)),
        seeds=seeds,
        vary=vary,
        variants=edits(variants),
        layout=design,
        at_once=at_once,
    )
    if wanted != study.design:
        study.extend(wanted)
    study.work(at_once=at_once, engine=engine, address=address, stop=stop, told=told)
    return study
