"""Baselines: findings that are known, by fingerprint, so that only what is new is shown and counted.

A baseline is a JSON file: what `write_baseline` writes, another run's findings.json, or a plain list of fingerprints. An entry may carry the
reason why its finding is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import write_json
from seewhy.core.findings import Finding

FORMS = "the findings.json of a run, what --write-baseline has written, or a list of fingerprints"


@dataclass(frozen=True)
class Known:
    """A finding that is known.

    Attributes:
        fingerprint: of the finding.
        code, title: of the finding as it was, for people.
        reason: why it is accepted; "" where nobody said.
    """

    fingerprint: str
    code: str = ""
    title: str = ""
    reason: str = ""


def read_baseline(path: Path) -> dict[str, Known]:
    """Return what a baseline knows, by fingerprint.

    Raises:
        InputError: the file is missing, is no JSON, or is no baseline.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"baseline: {path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"baseline: {path}: is not valid JSON: {error}") from None
    entries = value.get("findings") if isinstance(value, Mapping) else value
    if not isinstance(entries, list):
        raise InputError(f"baseline: {path}: must be {FORMS}")
    found = [_known(entry, path) for entry in entries]
    return {known.fingerprint: known for known in found}


def _known(entry: Any, path: Path) -> Known:
    fields = entry if isinstance(entry, Mapping) else {"fingerprint": entry}
    texts = {name: fields.get(name, "") for name in ("fingerprint", "code", "title", "reason")}
    if not texts["fingerprint"] or not all(isinstance(text, str) for text in texts.values()):
        raise InputError(f"baseline: {path}: {entry!r} has no fingerprint; it must be {FORMS}")
    return Known(**texts)


def write_baseline(path: Path, findings: Sequence[Finding], known: Mapping[str, Known]) -> None:
    """Write the findings as known ones; those that had a reason keep it, also in a baseline that stands there already.

    Raises:
        InputError: what stands there is no baseline, and is not overwritten.
        RunError: the file cannot be written.
    """
    reasons = {**(read_baseline(path) if path.exists() else {}), **known}
    entries = [
        Known(
            finding.fingerprint,
            finding.code,
            finding.title,
            reasons[finding.fingerprint].reason if finding.fingerprint in reasons else "",
        )
        for finding in findings
    ]
    write_json(path, {"findings": [asdict(entry) for entry in entries]})
