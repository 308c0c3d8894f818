"""Say what is wrong with a run, the likeliest cause first, with evidence and remedies; or with DATA and options of `train`, before any training.

--try runs the original, a remedy, and a random change of equal cost over seeds, and says whether the remedy helped, by how much, how surely. It
shows the plan and its cost first, and goes on where it stopped when it is called again. With --baseline only what is new is shown and counted.
Exit code 3 if --fail-on found something so severe that lasts. Of DATA, the network and the loss are tried on one batch for some seconds;
nothing is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seewhy.cli.options import add_spec_options, add_trust, spec_options
from seewhy.cli.text import json_text
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.core.files import new_file, user_path, write_json
from seewhy.core.findings import SEVERITIES
from seewhy.spec import build_request
from seewhy.spec.build import trust_request
from seewhy.spec.initial import SPEC

if TYPE_CHECKING:
    from seewhy.runs.launch import Job
    from seewhy.runs.run import Run

FAILED = 3
"""Exit code where `--fail-on` has found what it was to fail on."""


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    parser.add_argument(
        "source", metavar="RUN|DATA", nargs="?", help="a folder that `seewhy train` made, or what it would be given"
    )
    parser.add_argument("--spec", metavar="RUN", help="of DATA: start from another run, or from a TOML file")
    parser.add_argument("--checks", action="store_true", help="list every check with how it ended and why")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_fail_on(parser)
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="findings that are known, which are neither counted nor shown in full: a findings.json, or what --write-baseline wrote",
    )
    parser.add_argument(
        "--write-baseline",
        metavar="FILE",
        help='write the findings that last as known ones; an entry may be given a "reason", which a baseline that is there keeps',
    )
    parser.add_argument(
        "--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0, for code scanning; the file must not exist"
    )
    trial = parser.add_argument_group("trying a remedy")
    trial.add_argument("--try", dest="attempt", action="store_true", help="run a remedy, and say whether it helped")
    trial.add_argument(
        "--finding", metavar="CODE", help="whose remedy (default: the likeliest with one that is an edit)"
    )
    trial.add_argument("--remedy", metavar="N|all", help="which (default: the first that is an edit and fits)")
    trial.add_argument("--seeds", type=int, metavar="N", help="runs of each (default: 3)")
    trial.add_argument("--jobs", type=int, metavar="N", help="runs at the same time (default: one a processor core)")
    trial.add_argument("--dry-run", action="store_true", help="show the plan and its cost, and stop")
    add_trust(parser)
    add_spec_options(parser, arguments)
    parser.usage = (
        "seewhy diagnose RUN [--try] [options]\n       seewhy diagnose DATA [options of train]\n"
        "       seewhy diagnose --spec RUN_OR_FILE [DATA] [options of train]"
    )


def add_fail_on(parser: argparse.ArgumentParser) -> None:
    """Add the option that makes findings an exit code."""
    parser.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        help="end with exit code 3 if a finding that lasts is at least so severe",
    )


def run(options: argparse.Namespace) -> int:
    """Print the findings, or try a remedy."""
    names = ("finding", "remedy", "seeds", "jobs")
    trying = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if not options.attempt and (trying or options.dry_run):
        given = [f"--{name}" for name in trying] + ["--dry-run"] * options.dry_run
        raise InputError(f"{', '.join(given)}: belongs to --try; give both, or neither")
    sarif = None if options.sarif is None else new_file(options.sarif, "--sarif")
    remedy, changes = _remedy(options.remedy), spec_options(options)
    if not _is_run(options.source):
        # Before torch is imported, so that what is wrong is told at once.
        request = build_request(options.source, options.spec, changes)
        if options.trust:
            trust_request(request)
        if options.attempt:
            raise InputError(f"--try: is for a run, and {options.source} is none; train it first")
    from seewhy import api
    from seewhy.cli.progress import planning

    with planning() as observer:
        diagnosis = api.diagnose(
            options.source, baseline=options.baseline, spec=options.spec, observers=[observer], **changes
        )
    if options.write_baseline is not None:
        diagnosis.write_baseline(user_path(options.write_baseline, "--write-baseline"))
    if sarif is not None:
        write_json(sarif, diagnosis.to_sarif())
    if options.attempt:
        _try(api.Run(options.source, trust=options.trust), {**trying, "remedy": remedy}, options)
    elif options.json:
        print(json_text(diagnosis.to_json()))
    else:
        print(escaped("\n".join(diagnosis.lines(checks=options.checks)), lines=True))
    return FAILED if options.fail_on is not None and diagnosis.reaches(options.fail_on) else 0


def _is_run(source: str | None) -> bool:
    return source is not None and (user_path(source, "RUN") / SPEC).is_file()


def _remedy(text: str | None) -> int | str | None:
    if text is None or text == "all":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--remedy: must be a number from 1, as they are listed, or 'all', got {text!r}")
    return int(text)


def _try(subject: Run, asked: dict[str, Any], options: argparse.Namespace) -> None:
    """Show the plan, run it, and print what came of it."""
    from seewhy import api

    trial = api.plan_trial(subject, **asked)
    for name, text in trial.lines():
        print(escaped(f"{name:>12}  {text}"), file=sys.stderr)
    if options.dry_run:
        return
    total, done = len(trial.jobs()), sum(job.ended for job in trial.jobs())

    def told(job: Job, how: str) -> None:
        nonlocal done
        done += 1
        print(
            escaped(f"run {done:>3}/{total}  {job.folder.parent.name}, seed {job.folder.name}: {how}"), file=sys.stderr
        )

    outcome = api.try_remedy(trial, told=told)
    print(json_text(outcome.to_json()) if options.json else escaped("\n".join(outcome.lines()), lines=True))
