"""A diagnosis: what lasts, what has passed away, and how every check ended; beside a baseline only what is new."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.core.findings import SEVERITIES, CheckOutcome, Finding, Severity, findings_html
from seewhy.diagnosis.history import plain
from seewhy.runs.diagnose.baseline import Known, write_baseline
from seewhy.runs.diagnose.sarif import sarif_log
from seewhy.runs.run import Run
from seewhy.runs.watching import FINDINGS
from seewhy.spec.initial import REQUEST

WIDTH = 110
"""Columns of a line of text."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        subject: what was looked at: a run's folder, or a data set.
        artifact: the file that is to be changed, for SARIF.
        findings: those that last and are not known, the likeliest cause first.
        past: those that have passed away.
        checks: how every check ended.
        known: those that last and that the baseline knows.
        ended: whether what was looked at has come to its end; what stops a run may not have been looked at.
    """

    subject: str
    artifact: str
    findings: tuple[Finding, ...]
    past: tuple[Finding, ...]
    checks: tuple[CheckOutcome, ...]
    known: tuple[tuple[Finding, Known], ...] = ()
    ended: bool = True

    def _repr_html_(self) -> str:
        return findings_html(self.findings) or f"<p>{escape(escaped(str(self)))}</p>"

    def beside(self, baseline: Mapping[str, Known]) -> Diagnosis:
        """Return the diagnosis with the findings that a baseline knows set apart."""
        new = tuple(finding for finding in self.findings if finding.fingerprint not in baseline)
        known = tuple(
            (finding, baseline[finding.fingerprint]) for finding in self.findings if finding.fingerprint in baseline
        )
        past = tuple(finding for finding in self.past if finding.fingerprint not in baseline)
        return replace(self, findings=new, known=known, past=past)

    def write_baseline(self, path: Path) -> None:
        """Write all findings that last as known ones; reasons that the baseline, or the file there, had are kept.

        Raises:
            InputError: what stands there is no baseline, and is not overwritten.
            RunError: the file cannot be written.
        """
        findings = [*self.findings, *(finding for finding, _ in self.known)]
        write_baseline(path, findings, {entry.fingerprint: entry for _, entry in self.known})

    def reaches(self, severity: Severity) -> bool:
        """Whether a finding that lasts and is new is at least so severe."""
        return any(SEVERITIES.index(finding.severity) >= SEVERITIES.index(severity) for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON values."""
        known = [{**finding.to_json(), "reason": entry.reason} for finding, entry in self.known]
        value = {
            "subject": self.subject,
            "ended": self.ended,
            "findings": [finding.to_json() for finding in self.findings],
            "known": known,
            "past": [finding.to_json() for finding in self.past],
            "checks": [dict(vars(check)) for check in self.checks],
        }
        return {name: plain(item) for name, item in value.items()}

    def to_sarif(self) -> dict[str, Any]:
        """Return the findings as a SARIF 2.1.0 log; known ones are suppressed in it, with their reasons."""
        accepted = {finding.fingerprint: entry.reason for finding, entry in self.known}
        findings = [*self.findings, *(finding for finding, _ in self.known)]
        return sarif_log(findings, artifact=self.artifact, suppressed=accepted)

    def lines(self, *, checks: bool = False) -> list[str]:
        """Return the diagnosis for people; with `checks` every check with its reason."""
        found = [f"{self.subject}: {_count(self.findings, 'nothing new' if self.known else 'nothing')}"]
        if not self.ended:
            found.append(
                "the run has not ended: what stopped it, such as a loss that is not finite, may not have been looked at"
            )
        for number, finding in enumerate(self.findings, start=1):
            found += ["", *_finding(number, finding)]
        if self.past:
            found += ["", "passed away"]
            found += [
                f"  {finding.code}: {finding.title} (steps {finding.step:,} to {finding.ended or 0:,})"
                for finding in self.past
            ]
        if self.known:
            found += ["", "known, by the baseline"]
            found += [
                f"  {finding.severity}: {finding.title} ({entry.reason or 'no reason given'})"
                for finding, entry in self.known
            ]
        return [*found, "", *_checks(self.checks, listed=checks)]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def read_diagnosis(run: Run) -> Diagnosis:
    """Return what watching has found in a run.

    Raises:
        InputError: the run was not watched, or its findings.json is damaged.
    """
    if not (run.folder / FINDINGS).is_file():
        raise InputError(_unwatched(run))
    value = run.read_json(FINDINGS)
    try:
        findings = tuple(Finding.from_json(each) for each in value["findings"])
        past = tuple(Finding.from_json(each) for each in value.get("past", ()))
        checks = tuple(CheckOutcome.from_json(each) for each in value["checks"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{run.folder / FINDINGS}: is damaged, or of another version ({error}); train again: "
            f"seewhy train --spec {run.folder} --out NEW"
        ) from None
    return Diagnosis(str(run.folder), str(run.folder / REQUEST), findings, past, checks, ended=run.ended)


def _unwatched(run: Run) -> str:
    if run.spec.ensemble.members > 1:
        first = run.folder / "members" / "01"
        return f"{run.folder}: is an ensemble, whose members are watched by themselves; name one, such as {first}"
    if not run.ended:
        return f"{run.folder}: nothing has been looked at yet; let it go on: seewhy train --resume {run.folder}"
    return (
        f"{run.folder}: was not watched (--no-watch, or a version that did not watch), so nothing is known of it; "
        f"repeat it watched: seewhy train --spec {run.folder} --out NEW"
    )


def _count(findings: Sequence[Finding], nothing: str) -> str:
    if not findings:
        return f"{nothing} is wrong that was looked for"
    counts = Counter(finding.severity for finding in findings)
    each = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    return f"{len(findings)} finding{'s' if len(findings) > 1 else ''} ({each})"


def _finding(number: int, finding: Finding) -> Iterator[str]:
    yield from _wrapped(f"{number}. ", f"{finding.severity}: {finding.title}")
    network = "" if finding.network == "model" else f", {finding.network}"
    sure = f", {finding.confidence:.0%} sure" if finding.confidence < 1 else ""
    yield f"   {finding.code} since step {finding.step:,}{network}{sure}, fingerprint {finding.fingerprint}"
    rows = [
        ("layers", ", ".join(finding.layers)),
        ("numbers", ", ".join(f"{name} {_number(value)}" for name, value in finding.evidence.items())),
        ("why", finding.explanation),
        ("source", finding.source),
    ]
    for name, text in rows:
        if text:
            yield from _wrapped(f"   {name:<9}", text)
    for position, remedy in enumerate(finding.remedies, start=1):
        yield from _wrapped(f"   {'remedies' if position == 1 else '':<9}", f"{position}. {remedy.text}", hang=3)
        if remedy.edit is not None:
            yield f"   {'':<9}   edit: {remedy.edit}"
        elif remedy.code:
            yield f"   {'':<9}   code: {remedy.code}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name} {_number(item)}" for name, item in value.items()) + ")"
    return "[" + ", ".join(map(_number, value)) + "]" if isinstance(value, (list, tuple)) else str(value)


def _wrapped(lead: str, text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=" " * (len(lead) + hang)) or [lead]


def _checks(checks: Sequence[CheckOutcome], *, listed: bool) -> Iterator[str]:
    counts = Counter(check.status for check in checks)
    shown = ", ".join(f"{counts[status]} {status}" for status in ("found", "passed", "not applicable", "skipped"))
    yield f"{len(checks)} checks: {shown}" + ("" if listed else " (--checks lists them)")
    width = max((len(check.code) for check in checks), default=0)
    for check in checks if listed else ():
        yield from _wrapped(f"  {check.status:<14}  {check.code:<{width}}  ", check.reason)
