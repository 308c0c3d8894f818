"""Measure the canon's claims on real images: each is an experiment over seeds, with 95% intervals and a verdict that follows by one rule.

A claim is supported where all its criteria hold (their intervals lie wholly where the claim says), not supported where none does, and depends
where some do. Results are kept in a folder as they come; what is there is not measured again. Claims on time are of this machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seewhy.cli.text import json_text
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.core.files import new_file, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from seewhy.comparison.claims.results import Result

EXCLUSIVE = ("data", "seeds", "out", "jobs")


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("codes", metavar="C05", nargs="*", default=[], help="claims (default: all)")
    parser.add_argument("--data", metavar="DATA", help="digits (default), mnist, or any DATA that `seewhy train` takes")
    parser.add_argument("--quick", action="store_true", help="only try that the experiments run: seconds each")
    parser.add_argument("--seeds", type=int, metavar="N", help="repetitions (default: 5; 2 with --quick)")
    parser.add_argument(
        "--out", metavar="DIR", help="where results are kept (default: claims/DATA, or claims/DATA-quick)"
    )
    parser.add_argument("--again", action="store_true", help="measure what is there already again")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="claims at a time (default: one a core; those on time run alone)"
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="write the illustrated page, or with .md its numbers as Markdown; the file must not exist",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--list",
        action="store_true",
        help="list the claims, and the verdicts that come with the package; with --report, their page",
    )


def run(options: argparse.Namespace) -> int:
    """Measure claims and print the verdicts."""
    from seewhy.comparison.claims.catalogue import claims

    asked = claims(options.codes)
    report = new_file(options.report, "--report") if options.report is not None else None
    if options.list:
        return _list(options, report)
    from seewhy import api

    done = 0

    def told(result: Result, kept: bool) -> None:
        nonlocal done
        done += 1
        how = "kept" if kept else f"{result.seconds:.1f} s"
        print(escaped(f"claim {done:>2}/{len(asked)}  {result.code}  {how:>8}  {result.verdict.name}"), file=sys.stderr)

    results = api.claims(
        options.codes,
        data=options.data or "digits",
        quick=options.quick,
        seeds=options.seeds,
        out=options.out,
        again=options.again,
        jobs=options.jobs,
        told=told,
    )
    if report is not None:
        _write_page(report, results)
    if options.json:
        print(json_text([result.to_json() for result in results]))
    else:
        print(escaped("\n\n".join(map(_card, results)), lines=True))
        if report is not None:
            print(f"\nreport  {report}")
    return 0


def _write_page(report: Path, results: Sequence[Result]) -> None:
    from seewhy.comparison.claims.page import claims_markdown, claims_page

    write_text(report, claims_markdown(results) if report.suffix == ".md" else claims_page(results))


def _list(options: argparse.Namespace, report: Path | None) -> int:
    """Print the claims without measuring any, and write the page of the results that come with the package."""
    from seewhy.comparison.claims.catalogue import claims
    from seewhy.comparison.claims.results import committed_results

    given = [f"--{name}" for name in EXCLUSIVE if getattr(options, name) is not None]
    if given:
        raise InputError(f"{', '.join(given)}: --list measures nothing; leave it out")
    results = committed_results()
    rows = [
        (each, [result for (code, _), result in results.items() if code == each.code]) for each in claims(options.codes)
    ]
    if report is not None:
        _write_page(report, [result for _, found in rows for result in found])
    if options.json:
        print(
            json_text(
                [
                    {
                        "code": each.code,
                        "title": each.title,
                        "sentence": each.sentence,
                        "source": each.source,
                        "verdicts": {result.data: result.verdict.name for result in found},
                    }
                    for each, found in rows
                ]
            )
        )
        return 0
    for each, found in rows:
        verdicts = ", ".join(f"{result.verdict.name} on {result.data}" for result in found)
        print(f"{each.code}  {each.title}{f': {verdicts}' if verdicts else ''}")
    if report is not None:
        print(f"\nreport  {report}")
    return 0


def _card(result: Result) -> str:
    from seewhy.comparison.claims.catalogue import claim

    known = claim(result.code)
    lines = [f"{known.code}  {known.sentence}", f"     {result.verdict.text}"]
    lines += [f"     {each.line()}" for each in result.measured.criteria]
    lines.append(
        f"     {result.images}; {result.seeds} seeds; {result.seconds:.1f} s{'; quick form' if result.quick else ''}"
    )
    return "\n".join(lines)
