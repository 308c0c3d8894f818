"""Findings as a SARIF 2.1.0 log, which code scanning of GitHub and others read.

A check is a rule. A finding is a result: its layers are logical locations, its fingerprint is the one by which code scanning knows it again, and
its physical location is the file that is to be changed, since a network has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seewhy.core.findings import Finding, Remedy, Severity
from seewhy.diagnosis.checks import CHECKS
from seewhy.diagnosis.history import plain

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

LEVELS: dict[Severity, str] = {"note": "note", "warning": "warning", "critical": "error"}


def sarif_log(
    findings: Sequence[Finding], *, artifact: str, suppressed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a log with a rule a check and a result a finding.

    Args:
        findings: in order.
        artifact: path of the file that is to be changed, such as a run's request.toml.
        suppressed: reasons by fingerprint ("" for none) of findings that are accepted.
    """
    rules = {
        check.code: _rule(check.code, check.severity, check.explanation, check.source, check.remedies)
        for check in CHECKS
    }
    for finding in findings:  # of another version, or of the checks before training
        rule = _rule(finding.code, finding.severity, finding.explanation, finding.source, finding.remedies)
        rules.setdefault(finding.code, rule)
    places = {code: index for index, code in enumerate(rules)}
    results = [_result(finding, places[finding.code], artifact, suppressed or {}) for finding in findings]
    driver = {"name": "seewhy", "version": version("seewhy"), "rules": list(rules.values())}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(code: str, severity: Severity, explanation: str, source: str, remedies: Sequence[Remedy]) -> dict[str, Any]:
    steps = [f"{number}. {_remedy(remedy)}" for number, remedy in enumerate(remedies, start=1)]
    help_text = "\n".join([explanation, *steps, f"Source: {source}"])
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in code.split("_")),
        "shortDescription": {"text": code.replace("_", " ").capitalize()},
        "fullDescription": {"text": explanation or code.replace("_", " ").capitalize()},
        "help": {"text": help_text, "markdown": help_text.replace("\n", "\n\n")},
        "defaultConfiguration": {"level": LEVELS[severity]},
        "properties": {"tags": ["training"]},
    }


def _remedy(remedy: Remedy) -> str:
    edit = (
        remedy.edit if remedy.edit is not None and "{" not in remedy.edit else ""
    )  # what a run fills in is no edit yet
    change = edit or remedy.code
    return f"{remedy.text}: {change}" if change else remedy.text


def _result(finding: Finding, rule: int, artifact: str, suppressed: Mapping[str, str]) -> dict[str, Any]:
    names = [f"{finding.network}.{layer}" if layer else finding.network for layer in finding.layers] or [
        finding.network
    ]
    location = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(artifact)}, "region": {"startLine": 1}},
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "module"} for name in names],
    }
    found: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{finding.title} (step {finding.step:,})"},
        "locations": [location],
        "partialFingerprints": {"primaryLocationLineHash": finding.fingerprint, "seewhy/v1": finding.fingerprint},
        "properties": {"evidence": plain(finding.evidence), "step": finding.step, "confidence": finding.confidence},
    }
    if finding.fingerprint in suppressed:
        reason = suppressed[finding.fingerprint]
        found["suppressions"] = [{"kind": "external", **({"justification": reason} if reason else {})}]
    return found


def _uri(path: str) -> str:
    """Return a file as code scanning finds it: relative to where the command was given, if it lies below."""
    place = Path(path).absolute()
    return quote(place.relative_to(Path.cwd()).as_posix()) if place.is_relative_to(Path.cwd()) else place.as_uri()
