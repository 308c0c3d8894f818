"""Train a recogniser or a generator on DATA: a folder of class folders (with or without train/val/test), a built-in name, or an .npz.

Before it starts it prints what it will do; --dry-run stops there. Ctrl-C stops with a checkpoint, and --resume RUN goes on exactly.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seewhy.cli.options import add_spec_options, spec_options
from seewhy.core.errors import InputError
from seewhy.training.spec import RunSpec, build_spec

if TYPE_CHECKING:
    from seewhy.api import Run
    from seewhy.cli.progress import Reporter


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "source",
        metavar="DATA",
        nargs="?",
        help="folder of class folders (a generator takes any pictures), built-in name, or .npz file",
    )
    parser.add_argument(
        "--out", metavar="RUN", help="the run's folder, which must not exist (default: runs/<data>-<model>-<time>)"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with this run exactly where it stopped")
    parser.add_argument(
        "--spec", metavar="FILE", help="start from a TOML specification, such as another run's spec.toml"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    parser.add_argument("--quiet", action="store_true", help="print only the results")
    add_spec_options(parser)
    parser.usage = (
        "seewhy train DATA [options]\n"
        "       seewhy train --spec FILE [DATA] [options]\n"
        "       seewhy train --resume RUN [--quiet]"
    )


def run(options: argparse.Namespace) -> int:
    """Train, and print where the run is and what it reached."""
    changes = spec_options(options)
    if options.resume is not None:
        given = [name for name in ("source", "out", "spec") if getattr(options, name) is not None] + list(changes)
        if given or options.dry_run:
            raise InputError(
                f"--resume: goes on with the run's own specification, but {', '.join(given) or '--dry-run'} is given too"
            )
    # Before torch is imported, so that what is wrong is told at once.
    spec = build_spec(options.source, options.spec, changes) if options.resume is None else None
    from seewhy.cli.progress import Reporter
    from seewhy.training.fabric import is_main_process

    reporter = Reporter(quiet=options.quiet or not is_main_process())
    finished = _train(options, spec, reporter)
    if finished is not None and is_main_process():
        print_results(finished)
    return 0


def _train(options: argparse.Namespace, spec: RunSpec | None, reporter: Reporter) -> Run | None:
    from seewhy import api

    try:
        if spec is None:
            return api.resume(options.resume, observers=[reporter])
        return api.run_spec(spec, out=options.out, observers=[reporter], dry_run=options.dry_run)
    finally:
        reporter.close()


def print_results(run: Run) -> None:
    """Print the final figures and where everything is."""
    for part, label in (("val", "validation"), ("test", "test")):
        if part in run.results:
            found = run.results[part]
            low, high = found["interval"]
            if "nats" in found:
                print(
                    f"{label} {found['nats']:.2f} nats [{low:.2f}, {high:.2f}], {found['bits_per_dimension']:.3f} bits a value, "
                    f"of {found['n']:,} images ({found['estimator']})"
                )
                continue
            print(f"{label} accuracy {found['accuracy']:.2%} [{low:.2%}, {high:.2%}] of {found['n']:,} images")
    if "weights" in run.results:
        from seewhy.training.results.zeros import zeros_in_words

        print(f"weights at zero {zeros_in_words(run.results['weights'])}")
    print(f"run     {run.folder}")
    print(f"report  {relative(run.folder / 'report.html')}")


def relative(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    short = os.path.relpath(path)
    return short if len(short) < len(str(path)) else str(path)
