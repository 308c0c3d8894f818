"""What a watch has found, as text, as a page and in a notebook."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Protocol

from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.core.files import naming, user_path, write_text
from seewhy.core.findings import CheckOutcome, Finding, findings_html
from seewhy.diagnosis.health import health_of
from seewhy.diagnosis.history import History
from seewhy.reporting.records import Health

OURS = '<meta name="generator" content="seewhy">'
"""By which a page is known as one that may be written again."""

HEAD = 2048
"""Bytes at whose beginning that stands."""


class Watched(Protocol):
    """What a page shows of a watch."""

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the networks."""

    @property
    def findings(self) -> list[Finding]:
        """What lasts."""

    @property
    def past(self) -> list[Finding]:
        """What has passed away."""

    @property
    def checks(self) -> list[CheckOutcome]:
        """How each check ended."""

    def history(self, network: str = "model") -> History:
        """Return the records of a network."""


def write_page(why: Watched, path: str | Path, *, title: str = "") -> Path:
    """Write one page with the findings, the networks' health and the learning; it opens offline.

    Args:
        why: a watch, closed or not.
        path: of the file; an earlier page is overwritten, any other file is not.
        title: the heading; by default it says what was watched.

    Returns:
        The path.

    Raises:
        InputError: the path is a folder, its folder does not exist, or there is a file that is no such page.
        RunError: it cannot be written.
    """
    file = user_path(path, "report: path")
    if file.is_dir():
        raise InputError(f"report: path: {file} is a folder; name a file in it, such as {file / 'why.html'}")
    if not file.parent.is_dir():
        raise InputError(f"report: path: the folder {file.parent} does not exist; make it first, or name another")
    if file.exists() and not _is_ours(file):
        raise InputError(f"report: path: {file} exists and is no page of a watch; name another")
    from seewhy.reporting import render_why  # loads the templates, which nothing else of a watch needs

    write_text(file, render_why(health_of_watch(why), title=title or "Why this network learns, or does not"))
    return file


def _is_ours(file: Path) -> bool:
    with naming(file), open(file, "rb") as handle:
        return OURS.encode() in handle.read(HEAD)


def health_of_watch(why: Watched) -> Health:
    """Return what a page draws of a watch."""
    histories = {name: why.history(name) for name in why.networks}
    told = {name: list(points) for history in histories.values() for name, points in history.observed.items()}
    return health_of(
        {name: history.records for name, history in histories.items()},
        told,
        steps=max(history.loop.step for history in histories.values()),
        findings=why.findings,
        past=why.past,
        checks=why.checks,
    )


def notebook_html(why: Watched) -> str:
    """Return the findings as a short list for a notebook, without a script."""
    found = why.findings
    if not found:
        return f"<p>{escape(escaped(str(why)))}</p>"
    return findings_html(found)


def as_text(why: Watched) -> str:
    """Return the findings, a line each, with what to do about the first; of none what was seen."""
    histories = [why.history(name) for name in why.networks]
    steps = max(history.loop.step for history in histories)
    found, checks = why.findings, why.checks
    if not steps and not found:
        return "no step was seen: the loop has not begun, or it steps another optimiser than the one that is watched"
    if steps and not found and not any(record.layers for history in histories for record in history.latest):
        return (
            f"no forward pass was seen in {steps:,} steps, only how the loop treats gradients: call the watched module itself, "
            "model(x), not its parts or model.forward(x); what torch.compile has made is not looked into"
        )
    passed = sum(check.status == "passed" for check in checks)
    if not found:
        return f"nothing wrong was found in {steps:,} steps; {passed} of {len(checks)} checks passed"
    lines = [str(finding) for finding in found]
    for finding in found[:1]:
        lines += [f"    {finding.explanation}", *(f"    - {remedy.text}" for remedy in finding.remedies)]
    return "\n".join(lines)
