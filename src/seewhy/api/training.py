"""Train, go on, check the data and diagnose."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seewhy import data as seewhy_data
from seewhy.api.given import is_run, kept, place, plain
from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.data import Audit, ImageSource
from seewhy.runs import checking
from seewhy.runs import train as training
from seewhy.runs.diagnose.baseline import read_baseline
from seewhy.runs.diagnose.before import diagnose_request
from seewhy.runs.diagnose.diagnosis import Diagnosis, read_diagnosis
from seewhy.runs.report import draw_or_warn
from seewhy.runs.run import Run
from seewhy.runs.stopping import Stop
from seewhy.spec import Request, build_request
from seewhy.spec.build import trust_request
from seewhy.spec.sections import DataSection
from seewhy.training.events import Observer, emitter
from seewhy.training.fabric import is_main_process


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
    with _shown(observers, progress) as told:
        request = build_request(kept(source), place(spec), plain(options))
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
    run_folder, moved = user_path(folder, "folder"), kept(source)
    Run(run_folder, trust=trust)
    with _shown(observers, progress) as told:
        return _reported(
            training.resume(run_folder, told, stop=stop, previous=previous, source=moved, options=options, watch=watch)
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
    named_source = kept(source) if labels_folds is not None else None if seewhy_data.is_arrays(source) else source
    request = Request.make("arrays" if named_source is None else seewhy_data.source_name(named_source), plain(named))
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
        found = diagnose_request(build_request(kept(source), place(spec), plain(options)), emitter(tuple(observers)))
    return found.beside(known)
