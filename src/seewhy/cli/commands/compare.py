"""Compare choices on DATA: variants x seeds, each variant's learning rate tuned alike, and say which is better and how sure that is.

--vary names a field and the values that are tried for it; several are crossed, or changed one at a time (--design). --variant names an edit.
The plan and its cost are shown before anything starts; --dry-run stops there. A study is a folder: --resume STUDY goes on with it, with more
seeds or variants where they are given, and --work STUDY helps, from any number of processes and machines that see the folder. Ctrl-C lets the
runs save. The further options are those of `seewhy train`, for the base that the variants edit.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from seewhy.cli.commands.train import relative
from seewhy.cli.options import add_spec_options, add_trust, spec_options
from seewhy.cli.text import json_text
from seewhy.comparison.asked import Asked, usual_jobs, validate_jobs
from seewhy.comparison.design import LAYOUTS, design_variants, parse_variant, parse_vary
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.core.files import new_file, user_path
from seewhy.runs.server import start_ahead, warm
from seewhy.spec import build_request
from seewhy.spec.build import trust_request

if TYPE_CHECKING:
    from seewhy.comparison.results import Outcome
    from seewhy.comparison.study import Study

FIXED = ("metric", "extractor", "reference", "tune", "budget", "out", "spec", "source")
"""What a study has once and for all."""

SECONDS = {"s": 1 / 60, "m": 1.0, "h": 60.0, "": 1.0}


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    parser.add_argument("source", metavar="DATA", nargs="?", help="as for `seewhy train`")
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--vary", action="append", default=[], metavar="FIELD=VALUE,...", help="a factor, such as activation=relu,elu"
    )
    what.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME: EDIT",
        help="such as 'wide: model.width = 64, lr = 0.1'",
    )
    what.add_argument("--design", choices=LAYOUTS, default="product", help="cross the factors, or change one at a time")
    what.add_argument("--seeds", type=int, metavar="N", help="runs of each variant (default: 5; no verdict below that)")
    what.add_argument("--metric", metavar="NAME", help="by which runs are judged (default: accuracy, or nats)")
    what.add_argument(
        "--extractor",
        metavar="RUN",
        help="of --metric fid, kid, precision, recall, density, coverage (default: pixels)",
    )
    what.add_argument(
        "--reference", metavar="VARIANT", help="compare all with this one (default: the base, else all pairs)"
    )
    what.add_argument(
        "--tune",
        choices=("lr", "none"),
        help="choose each variant's learning rate by short runs first (default: lr where it can be)",
    )
    what.add_argument(
        "--halving", action="store_true", help="drop the worse half after two seeds of their own, again and again"
    )
    how = parser.add_argument_group("how it is run")
    how.add_argument("--budget", metavar="20m", help="for the whole study, in s, m or h; the runs' length follows")
    how.add_argument("--jobs", type=int, metavar="N", help="runs at the same time (default: one a processor core)")
    how.add_argument(
        "--engine", choices=("local", "dask", "ray"), default="local", help="where runs are trained (dask, ray: extras)"
    )
    how.add_argument("--address", metavar="HOST:PORT", help="of the cluster (default: what the engine finds or starts)")
    how.add_argument("--out", metavar="STUDY", help="the study's folder (default: studies/<data>-<time>)")
    how.add_argument("--resume", metavar="STUDY", help="go on with a study, with more seeds or variants if given")
    how.add_argument("--work", metavar="STUDY", help="train what is open of a study, beside whoever does so already")
    how.add_argument("--spec", metavar="RUN", help="start from a run, or from a TOML file, as `seewhy train` does")
    how.add_argument("--dry-run", action="store_true", help="show the plan and its cost, and stop")
    what_comes = parser.add_argument_group("what comes of it")
    what_comes.add_argument("--json", action="store_true", help="print figures and verdict as JSON")
    what_comes.add_argument(
        "--export", metavar="FILE", help="also write the runs into a .csv or .parquet file, which must not exist"
    )
    add_trust(parser)
    add_spec_options(parser, arguments)
    parser.usage = (
        "seewhy compare DATA --vary FIELD=VALUE,... [options]\n"
        "       seewhy compare --resume STUDY [--seeds N] [--vary ...] [--variant ...]\n"
        "       seewhy compare --work STUDY"
    )


def run(options: argparse.Namespace) -> int:
    """Plan, train, judge and print."""
    changes = spec_options(options)
    _validate(options, changes)
    vary, variants = _factors(options.vary), dict(map(parse_variant, options.variant))
    with warm():
        study = _study(options, changes, vary, variants)
        if study is None:
            return 0
        from seewhy.cli.study_progress import StudyScreen

        jobs = _jobs(options, study)
        with StudyScreen(study) as screen:
            outcome = study.work(at_once=jobs, engine=options.engine, address=options.address, told=screen.update)
    _print(study, outcome, options)
    return 0


def _validate(options: argparse.Namespace, changes: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    former = [name for name in ("resume", "work") if getattr(options, name) is not None]
    if len(former) == 2:
        raise InputError("--resume, --work: both are given; --work is --resume without a change of the study")
    if former:
        fixed = [f"--{name}" if name != "source" else "DATA" for name in FIXED if getattr(options, name) is not None]
        fixed += [f"--{path}" for path in changes] + ["--halving"] * options.halving
        if former == ["work"]:
            fixed += [f"--{name}" for name in ("vary", "variant", "seeds") if getattr(options, name)]
        if fixed:
            raise InputError(f"--{former[0]}: the study has its own; leave out {', '.join(fixed)}")
    elif not options.vary and not options.variant:
        raise InputError("nothing to compare: give --vary FIELD=VALUE,... or --variant 'NAME: EDIT'")
    if options.jobs is not None:
        validate_jobs(options.jobs)
    if options.address is not None and options.engine == "local":
        raise InputError("--address: is of a cluster, but --engine is local; name dask or ray")
    if options.export is not None and not options.export.endswith((".csv", ".parquet")):
        raise InputError(f"--export: must end in .csv or .parquet, got {options.export!r}")
    if options.export is not None:
        new_file(options.export, "--export")
        lacking = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
        if options.export.endswith(".parquet") and lacking:
            raise InputError(
                f"--export: a .parquet file needs {' and '.join(lacking)}: pip install 'seewhy[frames]'; .csv needs nothing"
            )


def _factors(texts: Sequence[str]) -> dict[str, list[Any]]:
    factors: dict[str, list[Any]] = {}
    for text in texts:
        name, values = parse_vary(text)
        if name in factors:
            raise InputError(f"--vary: {name} is given twice; list all its values at once")
        factors[name] = values
    return factors


def parse_minutes(text: str) -> float:
    """Read "20m", "1.5h" or "90s" as minutes; raises InputError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None:
        raise InputError(f"--budget: must be a time such as 20m, 1.5h or 90s, got {text!r}")
    return float(found[1]) * SECONDS[found[2]]


def _study(
    options: argparse.Namespace, changes: dict[str, Any], vary: dict[str, list[Any]], variants: dict[str, str]
) -> Study | None:
    """Return the study to work on, made or extended; None after a dry run."""
    if options.work is not None or options.resume is not None:
        return _former(options, vary, variants)
    # Before torch is imported, so that what is wrong is told at once.
    base = build_request(options.source, options.spec, changes)
    if options.trust:
        trust_request(base)
    chosen = design_variants(vary, variants, base, options.design)
    minutes = parse_minutes(options.budget) if options.budget is not None else None
    at_once = options.jobs if options.jobs is not None else usual_jobs(base)
    asked = Asked(
        base,
        chosen,
        5 if options.seeds is None else options.seeds,
        options.metric,
        options.reference,
        options.tune,
        options.halving,
        minutes,
        at_once,
        shlex.join(["seewhy", *sys.argv[1:]]),
        options.extractor,
    )
    from seewhy.cli.progress import planning
    from seewhy.comparison.create import place_of
    from seewhy.comparison.planning import plan_lines, plan_study
    from seewhy.comparison.quality import trust_extractor
    from seewhy.comparison.study import Study

    folder = place_of(options.out, base)
    if options.trust:
        trust_extractor(options.extractor or "")
    _start_ahead(options)
    with planning() as observer:
        design = plan_study(asked, observer)
    _show([*plan_lines(design, at_once=at_once), ("folder", str(folder))])
    return None if options.dry_run else Study.create(folder, design)


def _former(options: argparse.Namespace, vary: dict[str, list[Any]], variants: dict[str, str]) -> Study | None:
    from seewhy.cli.progress import planning
    from seewhy.comparison.create import extended_design
    from seewhy.comparison.study import Study

    study = Study(user_path(options.work or options.resume, "STUDY"))
    if options.trust:
        study.trust()
    jobs = _jobs(options, study)
    _start_ahead(options)
    if options.work is not None:
        _show(study.plan(at_once=jobs))
        return None if options.dry_run else study
    with planning() as observer:
        design = extended_design(
            study,
            observer,
            seeds=options.seeds,
            vary=vary,
            variants=variants,
            layout=options.design,
            at_once=jobs,
        )
    if options.dry_run:
        _show(study.plan(at_once=jobs, design=design))
        return None
    if design != study.design:
        study.extend(design)
    _show(study.plan(at_once=jobs))
    return study


def _start_ahead(options: argparse.Namespace) -> None:
    if options.engine == "local" and not options.dry_run:
        start_ahead()


def _jobs(options: argparse.Namespace, study: Study) -> int:
    return int(options.jobs) if options.jobs is not None else usual_jobs(study.design.base)


def _show(lines: Any) -> None:
    for name, text in lines:
        print(escaped(f"{name:>10}  {text}"), file=sys.stderr)


def _print(study: Study, outcome: Outcome, options: argparse.Namespace) -> None:
    """Print what came of it, and write what was asked for."""
    if options.export is not None:
        path = user_path(options.export, "--export")
        if path.suffix == ".parquet":
            study.frame().to_parquet(path)
        else:
            from seewhy.comparison.results import to_csv
            from seewhy.core.files import write_text

            write_text(path, to_csv(outcome.rows))
    if options.json:
        print(json_text(outcome.to_json()))
        return
    print(escaped(outcome.table(), lines=True))
    if outcome.verdict is not None:
        print(escaped(outcome.verdict.sentence()))
    print(f"study   {study.folder}")
    print(f"report  {relative(study.folder / 'report.html')}")
