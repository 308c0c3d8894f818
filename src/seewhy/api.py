"""The verbs that the command line and Python share: train, resume, evaluate, check, diagnose, and what a `Run` does.

>>> run = seewhy.train("photos/", activation="elu")     # doctest: +SKIP
>>> run.predict("image.jpg").label                      # doctest: +SKIP
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seewhy import data as seewhy_data
from seewhy.comparison.asked import Asked, usual_jobs
from seewhy.comparison.claims.results import Result
from seewhy.comparison.create import create_study, extended_design, place_of
from seewhy.comparison.design import Layout, design_variants
from seewhy.comparison.execute import Engine
from seewhy.comparison.folder import Tune
from seewhy.comparison.progress import Progress
from seewhy.comparison.study import Study
from seewhy.core.errors import InputError, bad_value
from seewhy.core.files import user_path
from seewhy.core.trust import name_of
from seewhy.data import Audit, ImageSource
from seewhy.runs import checking
from seewhy.runs import train as training
from seewhy.runs.diagnose.baseline import read_baseline
from seewhy.runs.diagnose.before import diagnose_request
from seewhy.runs.diagnose.diagnosis import Diagnosis, read_diagnosis
from seewhy.runs.diagnose.trial import plan_trial, try_remedy
from seewhy.runs.report import draw_or_warn
from seewhy.runs.run import Run
from seewhy.runs.server import start_ahead, warm
from seewhy.runs.stopping import Stop
from seewhy.spec import Request, build_request, format_edit
from seewhy.spec.build import trust_request
from seewhy.spec.initial import SPEC
from seewhy.spec.sections import DataSection
from seewhy.spec.tree import leaves
from seewhy.training.events import Observer, emitter
from seewhy.training.fabric import is_main_process

__all__ = [
    "Diagnosis",
    "Run",
    "Study",
    "check",
    "claims",
    "compare",
    "diagnose",
    "plan_trial",
    "resume",
    "resume_study",
    "start",
    "train",
    "try_remedy",
]


def train(
    source: ImageSource | None = None,
    *,
    out: str | Path | None = None,
    spec: str | Path | Run | None = None,
    observers: Sequence[Observer] = (),
    stop: Stop | None = None,
    progress: bool | None = None,
    watch: bool = True,
    trust: bool = False,
    **options: Any,
) -> Run:
    """Train a classifier or a generative model and return its run.

    Args:
        source: a folder of class folders (for a generative model, any folder of images), a built-in name (such as "digits"), an .npz file, or
            arrays: `(images, labels)`, or a mapping with the keys of an .npz, which are kept in the cache folder so that the run can be resumed;
            None with `spec`, for the source named there.
        out: the run's folder, which must not exist; None makes a name under `runs/`.
        spec: a TOML file, or a run (its folder) to start from: repeated as it was or, with `source` and `options`, edited and resolved anew.
        observers: callables that are given every event of the training (`seewhy.training.events`).
        stop: asked after every step, from whatever thread or process its answer comes; True ends the run with a checkpoint, as Ctrl-C does.
        progress: show the plan, a bar and a line an epoch, on stderr or in a notebook's cell; None: in notebooks. For a callback of your own
            see `observers`.
        watch: look for what is wrong with the training (`seewhy.watch`); `run.findings` says what was found. It changes no bit of the run.
        trust: whether the factory of a network that `spec` names may be imported; one that is named here may.
        options: short names (`epochs=3, activation="elu"`; as `model` also a function ((channels, height, width), classes) -> module),
            sections (`model={"width": 32}`) or dotted paths
            (`**{"optim.lr": 0.1}`); `seewhy train --help` lists them. `initial_weights` may be a `Run`.

    Raises:
        InputError: an option or the data are wrong; nothing has been written.
        RunError: the loss is not finite, the disk cannot be written, or the run was asked to stop (InterruptedRunError).
        KeyboardInterrupt: Ctrl-C; the run has saved a checkpoint, and the message says how to go on.
    """
    plain = _plain(options)
    with _shown(observers, progress) as told:
        request = build_request(_kept(source), _place(spec), plain)
        if trust:
            trust_request(request)
        run = start(request, out=out, observers=told, stop=stop, watch=watch)
    assert run is not None
    return run


def start(
    request: Request,
    *,
    out: str | Path | None = None,
    observers: Sequence[Observer] = (),
    stop: Stop | None = None,
    dry_run: bool = False,
    watch: bool = True,
) -> Run | None:
    """Train, evaluate and report a request; None after a dry run."""
    folder = user_path(out, "out") if out is not None else None
    run = training.start(request, folder, observers, stop=stop, dry_run=dry_run, watch=watch)
    return _reported(run) if run is not None else None


def resume(
    folder: str | Path,
    *,
    observers: Sequence[Observer] = (),
    stop: Stop | None = None,
    previous: bool = False,
    source: ImageSource | None = None,
    progress: bool | None = None,
    watch: bool = True,
    trust: bool = False,
    **options: Any,
) -> Run:
    """Go on with an interrupted run exactly where it stopped, to its end; or with one that has ended, to a larger budget.

    Args:
        folder: of the run.
        observers: as in `train`.
        stop: as in `train`.
        previous: go on from the checkpoint before the last one, which is damaged.
        source: where the data lie now, if they were moved; they must be the same images.
        progress: as in `train`.
        watch: as in `train`; goes on with what was found before.
        trust: whether code that the run names, such as the factory of its network, may be imported.
        options: `epochs` (the new total) and `patience`; a learning-rate schedule then ends with it. All else is the run's own.

    Raises:
        InputError: the folder is no run, its data have changed, another process is training it, or an option cannot change.
        RunError: as `train`.
    """
    place, moved = user_path(folder, "folder"), _kept(source)
    Run(place, trust=trust)
    with _shown(observers, progress) as told:
        return _reported(
            training.resume(place, told, stop=stop, previous=previous, source=moved, options=options, watch=watch)
        )


@contextmanager
def _shown(observers: Sequence[Observer], progress: bool | None) -> Iterator[Sequence[Observer]]:
    """Yield the observers, with one that shows progress where it is wanted."""
    if progress is False or (progress is None and "IPython" not in sys.modules):
        yield observers
        return
    from seewhy.runs.progress import Reporter
    from seewhy.runs.screens import in_notebook

    if not (progress or in_notebook()):
        yield observers
        return
    reporter = Reporter(quiet=not is_main_process())
    try:
        yield (*observers, reporter)
    finally:
        reporter.close()


PLACES = (Run, os.PathLike)


def _place(value: Any) -> Any:
    """Return the folder of a run, and anything else as it is."""
    return value.folder if isinstance(value, Run) else value


def _kept(source: ImageSource | None) -> str | None:
    """Return a source as the text that a specification holds; arrays are kept in the cache."""
    if source is None:
        return None
    return str(seewhy_data.keep_arrays(source)) if seewhy_data.is_arrays(source) else seewhy_data.source_name(source)


def _reported(run: Run) -> Run:
    """Draw the report of a run."""
    if is_main_process():
        draw_or_warn(run.report, run.folder)
    return run


def check(
    source: ImageSource,
    *,
    labels_folds: int | None = None,
    out: str | Path | None = None,
    show: str | Path | None = None,
    unlabelled: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Audit:
    """List what is wrong with the images, the split and, on request, the labels of a data set, before any training.

    Args:
        source: a folder of images, a built-in name, an .npz file or arrays.
        labels_folds: runs by which labels that are probably wrong are found, each trained without its share of the images; None to leave them.
        out: folder of these runs; a call that was stopped goes on there. Default: runs/<data>-labels.
        show: PNG file for the pairs of near duplicates or, with `labels_folds`, the likeliest wrong labels; not written where there are none.
        unlabelled: whether any images will do, as for generative models.
        progress: told (images done, images in all).
        options: fields of the data section, such as `resolution=64`, `labels="labels.csv"`; with `labels_folds` also of the runs, as in `train`.

    Raises:
        InputError: the source or an option is wrong.
        RunError: a run failed.
    """
    named = {f"data.{name}" if name in DataSection.model_fields else name: value for name, value in options.items()}
    kept = _kept(source) if labels_folds is not None else None if seewhy_data.is_arrays(source) else source
    request = Request.make("arrays" if kept is None else seewhy_data.source_name(kept), _plain(named))
    page, folder = (None if path is None else user_path(path, name) for name, path in (("show", show), ("out", out)))
    checking.validate(request, page, folder, labels_folds)
    checked = checking.check_images(source, request, "optional" if unlabelled else "required", progress)
    if labels_folds is not None:
        return checking.check_labels(request, folder, checked, folds=labels_folds, show=page)
    if page is not None:
        checking.draw_pairs(checked, page)
    return checked.audit


def diagnose(
    source: ImageSource | Run | None = None,
    *,
    baseline: str | Path | None = None,
    spec: str | Path | Run | None = None,
    observers: Sequence[Observer] = (),
    **options: Any,
) -> Diagnosis:
    """Return what watching has found in a run, or what is wrong with one before it is trained.

    Printed, a diagnosis is what `seewhy diagnose` shows; it has `findings`, `past` and `checks`.

    Args:
        source: a run, or its folder; or data as in `train`, of which the network, the loss and one batch are tried for some seconds and nothing
            is written.
        baseline: a file of findings that are known, which are set apart (`Diagnosis.known`): another run's findings.json, or what
            `seewhy diagnose RUN --write-baseline FILE` has written.
        spec, options: of data, as in `train`.
        observers: of data: callables that are given the progress of decoding, and the plan.

    Raises:
        InputError: a run was not watched, what would be trained is wrong, or a file is damaged.
    """
    known = {} if baseline is None else read_baseline(user_path(baseline, "baseline"))
    if is_run(source):
        if spec is not None or options:
            raise InputError(
                f"{', '.join(options) or 'spec'}: is for data, but {source} is a run, which is as it was trained"
            )
        found = read_diagnosis(source if isinstance(source, Run) else Run(source))  # type: ignore[arg-type]
    else:
        found = diagnose_request(build_request(_kept(source), _place(spec), _plain(options)), emitter(tuple(observers)))
    return found.beside(known)


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
    base = build_request(_kept(source), _place(spec), _plain(options))
    levels = {name: _texts(values) for name, values in (vary or {}).items()}
    chosen = design_variants(levels, _edits(variants), base, design)
    at_once = jobs if jobs is not None else usual_jobs(base)
    features = None if extractor is None else os.fspath(_place(extractor))
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
        variants=_edits(variants),
        layout=design,
        at_once=at_once,
    )
    if wanted != study.design:
        study.extend(wanted)
    study.work(at_once=at_once, engine=engine, address=address, stop=stop, told=told)
    return study


def _edits(variants: Mapping[str, str | Mapping[str, Any]] | None) -> dict[str, str]:
    """Return named edits as text."""
    return {
        name: edit if isinstance(edit, str) else format_edit(leaves(edit)) for name, edit in (variants or {}).items()
    }


def is_run(source: object) -> bool:
    """Whether a source is a run or its folder, and no data."""
    if isinstance(source, Run):
        return True
    return isinstance(source, (str, os.PathLike)) and (user_path(Path(source), "source") / SPEC).is_file()


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with runs, paths and functions as texts."""
    return {name: _text(value) for name, value in options.items()}


def _texts(values: Any) -> Any:
    """Return a list of values with runs, paths and functions as texts; anything else, which is refused later, as it is."""
    return [_text(value) for value in values] if isinstance(values, (list, tuple)) else values


def _text(value: Any) -> Any:
    if isinstance(value, PLACES):
        return os.fspath(_place(value))
    return name_of(value, "model") if callable(value) else value
