"""What a diagnosis says: findings, and how each check ended.

A finding names one cause, where and when it was seen, with the numbers that show it and what helps. Every check of a diagnosis ends in one of
four ways: found, passed, not applicable, or skipped, the latter two with their reason.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import NoneType
from typing import Any, Literal, TypeVar, get_args

from seewhy.core.escaping import escaped

Severity = Literal["note", "warning", "critical"]
Status = Literal["found", "passed", "not applicable", "skipped"]

LAYERS_UP_TO = 3
"""Layers that a line names."""

SEVERITIES: tuple[Severity, ...] = ("note", "warning", "critical")


@dataclass(frozen=True)
class Remedy:
    """What helps against a cause.

    Attributes:
        text: in a sentence.
        code: the change in the user's own program, "" where there is no short one.
        edit: the change of a run's request as an edit (`"optim.lr = 0.01"`), None where no edit mends it.
    """

    text: str
    code: str = ""
    edit: str | None = None


@dataclass(frozen=True)
class Finding:
    """One cause, found.

    Attributes:
        code: stable, in snake_case, such as "zero_grad_missing".
        title: in a line, with the numbers.
        severity: "note", "warning" or "critical".
        step: at which it was confirmed.
        network: which of the watched networks.
        layers: where, by module path.
        evidence: the numbers that show it, by name.
        explanation: what it is and why it matters, for a student.
        source: of the rule.
        depth: how far from a root cause it is: 0 for a broken loop, larger for symptoms; the likeliest cause comes first.
        remedies: the best first.
        ended: the step at which it had passed away, None while it lasts.
        confidence: how often such evidence is right, from 0 to 1: 1 for an invariant, less for a threshold.
    """

    code: str
    title: str
    severity: Severity
    step: int
    network: str = "model"
    layers: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    explanation: str = ""
    source: str = ""
    depth: int = 0
    remedies: tuple[Remedy, ...] = ()
    ended: int | None = None
    confidence: float = 1.0

    @property
    def fingerprint(self) -> str:
        """The same for the same cause in the same place, whatever its numbers and its step: 12 hexadecimal digits."""
        return hashlib.blake2b(
            "\0".join((self.code, self.network, *self.layers)).encode(errors="surrogatepass"), digest_size=6
        ).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values, with its fingerprint."""
        return {
            **asdict(self),
            "layers": list(self.layers),
            "evidence": dict(self.evidence),
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        """Return a finding from its JSON; raises KeyError, TypeError or AttributeError where it is none."""
        known = {name: item for name, item in value.items() if name != "fingerprint"}
        remedies = tuple(_typed(Remedy(**remedy)) for remedy in known["remedies"])
        return _typed(cls(**{**known, "layers": tuple(map(str, known["layers"])), "remedies": remedies}))

    def _repr_html_(self) -> str:
        """Return the finding for a notebook: its line, with the explanation and the remedies folded."""
        line, explanation = (
            html.escape(escaped(text)) for text in (f"{self.title}, step {self.step:,}", self.explanation)
        )
        remedies = "".join(f"<li>{html.escape(escaped(remedy.text))}</li>" for remedy in self.remedies)
        layers = " ".join(f"<code>{html.escape(escaped(layer))}</code>" for layer in self.layers[:LAYERS_UP_TO])
        return (
            f"<details><summary><b>{html.escape(self.severity)}</b>: {line} {layers}</summary>"
            f"<p>{explanation}</p><ol>{remedies}</ol></details>"
        )

    def __str__(self) -> str:
        more = ", ..." if len(self.layers) > LAYERS_UP_TO else ""
        where = f" ({', '.join(self.layers[:LAYERS_UP_TO])}{more})" if self.layers else ""
        help_ = f"; {self.remedies[0].text}" if self.remedies else ""
        return f"{self.severity}: {self.title}{where}, step {self.step:,}{help_}"


@dataclass(frozen=True)
class CheckOutcome:
    """How a check ended.

    Attributes:
        code: of the findings that it may make.
        status: "found", "passed", "not applicable" or "skipped".
        reason: why it is not applicable or was skipped; else what was looked at.
    """

    code: str
    status: Status
    reason: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CheckOutcome:
        """Return the outcome of a check from its JSON; raises TypeError where it is none."""
        return _typed(cls(**value))


_TYPES: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "int | None": (int, NoneType),
    "float": (int, float),
    "Mapping[str, Any]": Mapping,
}
"""Of the fields of these records, as they are annotated."""

_Record = TypeVar("_Record", Finding, Remedy, CheckOutcome)


def _typed(record: _Record) -> _Record:
    """Return a record whose fields are of their types: a file may hold anything."""
    for each in fields(record):
        value = getattr(record, each.name)
        words = get_args({"Severity": Severity, "Status": Status}.get(str(each.type)))
        if not isinstance(value, _TYPES.get(str(each.type), object)) or (words and value not in words):
            raise TypeError(f"{each.name} is {value!r}"[:80])
    return record


def findings_html(findings: Sequence[Finding]) -> str:
    """Return findings as a list for a notebook, without a script; "" for none."""
    items = "".join(f"<li>{finding._repr_html_()}</li>" for finding in findings)
    return f'<ul style="padding-left:1.2em;max-width:72em">{items}</ul>' if items else ""
