"""Train a classifier or a generative model on DATA: a folder of class folders (with or without train/val/test), a built-in name, or an .npz.

Before it starts it prints what it will do; --dry-run stops there. Ctrl-C stops with a checkpoint, and --resume RUN goes on exactly.
--spec RUN repeats a run bit for bit; with further options it edits what was asked for there, and the defaults follow. `default` as a value takes
back that an option was asked for. The options below are those of the model and the optimiser that are named (--model vae --help).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.cli.commands.diagnose import FAILED, add_fail_on
from seewhy.cli.options import add_spec_options, add_trust, spec_options
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.spec import Request, build_request
from seewhy.spec.build import trust_request

if TYPE_CHECKING:
    from seewhy.core.findings import Severity
    from seewhy.runs.progress import Reporter
    from seewhy.runs.run import Run


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    parser.add_argument(
        "source",
        metavar="DATA",
        nargs="?",
        help="folder of class folders (a generative model takes any images) or tar shards, built-in name, or .npz file",
    )
    parser.add_argument(
        "--out", metavar="RUN", help="the run's folder, which must not exist (default: runs/<data>-<model>-<time>)"
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with this run exactly where it stopped; with --epochs to a larger total, with DATA where its images lie now",
    )
    parser.add_argument(
        "--previous", action="store_true", help="with --resume: go on from the checkpoint before a damaged last one"
    )
    parser.add_argument("--spec", metavar="RUN", help="start from another run, or from a TOML file")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    parser.add_argument(
        "--no-watch",
        dest="watch",
        action="store_false",
        help="do not look for what is wrong with the training, which is said as it is found and kept in findings.json",
    )
    add_fail_on(parser)
    add_trust(parser)
    parser.add_argument("--quiet", action="store_true", help="print only the results")
    add_spec_options(parser, arguments)
    parser.usage = (
        "seewhy train DATA [options]\n"
        "       seewhy train --spec RUN_OR_FILE [DATA] [options]\n"
        "       seewhy train --resume RUN [DATA] [--epochs N] [--patience N]"
    )


def run(options: argparse.Namespace) -> int:
    """Train, and print where the run is and what it reached."""
    changes = spec_options(options)
    if options.resume is not None:
        given = [f"--{name}" for name in ("out", "spec") if getattr(options, name) is not None]
        if given or options.dry_run:
            raise InputError(
                f"--resume: goes on with the run's own specification, but {', '.join(given) or '--dry-run'} is given too"
            )
    elif options.previous:
        raise InputError("--previous: belongs to --resume RUN; give both, or neither")
    if options.fail_on is not None and not options.watch:
        raise InputError("--fail-on: fails on what watching finds, but --no-watch is given too; leave one out")
    # Before torch is imported, so that what is wrong is told at once.
    request = build_request(options.source, options.spec, changes) if options.resume is None else None
    if request is not None and options.trust:
        trust_request(request)
    from seewhy.runs.progress import Reporter
    from seewhy.training.fabric import is_main_process

    reporter = Reporter(quiet=options.quiet or not is_main_process())
    finished = _train(options, request, changes, reporter)
    if finished is not None and is_main_process():
        print_results(finished)
    return FAILED if finished is not None and _fails(finished, options.fail_on) else 0


def _fails(run: Run, severity: Severity | None) -> bool:
    """Whether a finding of the run, or of one of its members, is at least so severe."""
    from seewhy.runs.diagnose.diagnosis import read_diagnosis

    if severity is None:
        return False
    return any(read_diagnosis(each).reaches(severity) for each in (run.members or (run,)))


def _train(
    options: argparse.Namespace, request: Request | None, changes: dict[str, Any], reporter: Reporter
) -> Run | None:
    from seewhy import api

    try:
        if request is None:
            return api.resume(
                options.resume,
                observers=[reporter],
                previous=options.previous,
                source=options.source,
                watch=options.watch,
                trust=options.trust,
                **changes,
            )
        return api.start(request, out=options.out, observers=[reporter], dry_run=options.dry_run, watch=options.watch)
    finally:
        reporter.close()


def print_results(run: Run) -> None:
    """Print the final figures and where everything is."""
    from seewhy.runs.results import format_results

    for line in format_results(run.results, run.spec):
        print(escaped(line))
    print(f"run     {run.folder}")
    print(f"report  {relative(run.folder / 'report.html')}")


def relative(path: Path) -> str:
    """Return a path as short as it can be said from here: relative where it lies below."""
    short = os.path.relpath(path)
    below = not short.startswith(os.pardir) and Path.cwd() != Path("/")
    return short if below else str(path)
