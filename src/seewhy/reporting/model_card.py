"""A run's model card: Markdown that says what the model is, what it was trained on, how good it is, and where that ends (Mitchell et al. 2019).

Its head is the YAML that model hubs read. Whatever a stranger named (a class, a data set, a file) is text: it can make neither markup nor a
heading, and no field of the head.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seewhy.core.escaping import escaped
from seewhy.core.findings import Finding
from seewhy.reporting.formatting import finite_or_none, format_count, format_number, format_percent
from seewhy.reporting.interpretation import confused_pairs, describe_calibration, split_name
from seewhy.reporting.records import EvaluationRecord, ReportRecord

CLASSES_UP_TO = 50
"""Classes that are named."""

FEW_IMAGES = 30
"""Evaluated images of a class below which its figures say little."""

WORST, PAIRS = 5, 5
"""Classes and confusions that are named."""

_MARKUP = re.compile(r"([\\`*_\[\]|~#])")


@dataclass(frozen=True)
class ModelCard:
    """What a card shows beside what the report does.

    Attributes:
        report: the run's report.
        model: its name, such as "convnet".
        predicts: whether it classifies images; else it makes them.
        dataset: the name of the data.
        data: facts of the data as (label, text).
        results: the final figures by split: {"test": {"accuracy": ...}}.
        figures: the same in words, a line a split.
        classes: names.
        training: facts of the training as (label, text).
        version: of seewhy.
    """

    report: ReportRecord
    model: str
    predicts: bool
    dataset: str
    data: Sequence[tuple[str, str]]
    results: Mapping[str, Any]
    figures: Sequence[str]
    classes: Sequence[str] = ()
    training: Sequence[tuple[str, str]] = field(default=())
    version: str = ""


def render_model_card(card: ModelCard) -> str:
    """Return the card as Markdown."""
    sections = [
        ("Use", _use(card)),
        ("Data", [*_table(card.data), *_classes(card.classes), *_issues(card.report.audit)]),
        ("Figures", _figures(card)),
        ("Limits", [f"- {line}" for line in _limits(card)]),
        ("Findings", _findings(card.report)),
        ("Training", _table(card.training)),
    ]
    lines = [*_head(card), "", f"# {plain(card.report.title)}", "", _what(card)]
    for title, body in sections:
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


def plain(text: object) -> str:
    """Return a text that Markdown and HTML show as it is, on one line."""
    return _MARKUP.sub(r"\\\1", html.escape(escaped(str(text)), quote=False))


def _head(card: ModelCard) -> list[str]:
    """Return the YAML that hubs read; texts as JSON, which YAML takes."""
    task = "image-classification" if card.predicts else "unconditional-image-generation"
    lines = ["---", "library_name: seewhy", f"pipeline_tag: {task}", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in ("seewhy", "vision", card.model)]
    evaluation = card.report.evaluation
    if evaluation is not None:
        name = json.dumps(card.report.run_name)
        data = json.dumps(escaped(card.dataset))
        lines += ["model-index:", f"- name: {name}", "  results:", "  - task:", f"      type: {task}", "    dataset:"]
        lines += [f"      name: {data}", f"      type: {data}", f"      split: {split_name(evaluation)}"]
        lines += ["    metrics:", "    - type: accuracy", f"      value: {evaluation.accuracy:.6f}"]
    return [*lines, "---"]


def _what(card: ModelCard) -> str:
    kind = (
        f"classifies images into {format_count(len(card.classes), 'class', 'classes')}"
        if card.predicts
        else "makes images"
    )
    text = f"A model (`{card.model}`) that {kind}, trained on {plain(card.dataset)} with seewhy {card.version}."
    notes = " ".join(plain(note) for note in card.report.notes)
    return f"{text} {notes}".strip()


def _use(card: ModelCard) -> list[str]:
    call = "predict RUN image.jpg" if card.predicts else "generate sample RUN"
    line = card.report.python.splitlines()[-1] if card.report.python else ""
    return [
        "`RUN` is this folder.",
        "",
        "```console",
        f"$ seewhy {call}",
        "```",
        "",
        "```python",
        'import seewhy\n\nrun = seewhy.Run("RUN")',
        line,
        "```",
    ]


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {plain(label)} | {plain(text)} |" for label, text in rows)]


def _classes(classes: Sequence[str]) -> list[str]:
    if not classes:
        return []
    named = ", ".join(plain(name) for name in classes[:CLASSES_UP_TO])
    more = f" and {len(classes) - CLASSES_UP_TO:,} more" if len(classes) > CLASSES_UP_TO else ""
    return ["", f"Classes: {named}{more}."]


def _issues(audit: Sequence[Mapping[str, object]]) -> list[str]:
    if not audit:
        return []
    lines = [f"- {plain(issue.get('severity', 'note'))}: {plain(issue.get('message', ''))}" for issue in audit]
    return ["", "What was found in the data before training:", "", *lines]


def _figures(card: ModelCard) -> list[str]:
    lines = [f"- {plain(line)}" for line in card.figures] or ["No split was measured."]
    evaluation = card.report.evaluation
    if evaluation is None:
        return lines
    lines += ["", "Intervals are 95%.", "", "| figure | value |", "|---|---|"]
    known = {
        "balanced accuracy": None
        if evaluation.balanced_accuracy is None
        else format_percent(evaluation.balanced_accuracy),
        "macro F1": None if evaluation.macro_f1 is None else format_percent(evaluation.macro_f1),
        "top-5 accuracy": None if evaluation.top5 is None else format_percent(evaluation.top5),
        "log-loss": f"{format_number(evaluation.log_loss)} nats",
        "expected calibration error": format_percent(evaluation.ece),
    }
    lines += [f"| {name} | {value} |" for name, value in known.items() if value is not None]
    return [*lines, "", describe_calibration(evaluation)]


def _limits(card: ModelCard) -> Iterator[str]:
    evaluation = card.report.evaluation
    yield "The figures hold for images like those it was measured on; other cameras, places and times were not measured."
    if "test" not in card.results:
        yield "No test split was measured: the figures are of images by which the best epoch was chosen, and are on the high side."
    if card.predicts:
        yield "Every image is given one of the classes, also one that shows none of them."
    else:
        yield "What it makes may repeat training images; how far it does was not measured here (`seewhy evaluate RUN --generated 2000`)."
    if evaluation is not None:
        yield from _limits_of_classes(evaluation)
    lasting = card.report.health.findings if card.report.health is not None else ()
    if lasting:
        yield f"Watching its training found {format_count(len(lasting), 'problem')} that lasted to the end (see Findings)."


def _limits_of_classes(evaluation: EvaluationRecord) -> Iterator[str]:
    rows = [(str(row["class"]), int(str(row["n"])), finite_or_none(row.get("recall"))) for row in evaluation.per_class]
    few = [name for name, n, _ in rows if n < FEW_IMAGES]
    if few:
        named = ", ".join(plain(name) for name in few[:WORST])
        more = f" and {len(few) - WORST} more" if len(few) > WORST else ""
        yield f"Fewer than {FEW_IMAGES} {split_name(evaluation)} images show {named}{more}: their figures say little."
    known = sorted((recall, name, n) for name, n, recall in rows if recall is not None and recall < 1)
    if known:
        worst = ", ".join(f"{plain(name)} ({format_percent(recall)} of {n:,})" for recall, name, n in known[:WORST])
        yield f"Classes that are recognised least often: {worst}."
    pairs = confused_pairs(evaluation, limit=PAIRS)
    if pairs:
        named = ", ".join(
            f"{plain(pair.true)} taken for {plain(pair.predicted)} ({pair.n:,} of {pair.total:,})" for pair in pairs
        )
        yield f"Most frequent confusions: {named}."


def _findings(report: ReportRecord) -> list[str]:
    health = report.health
    if health is None:
        return ["The training was not watched."]
    counts: dict[str, int] = {}
    for check in health.checks:
        counts[check.status] = counts.get(check.status, 0) + 1
    ended = ", ".join(f"{number} {status}" for status, number in counts.items())
    lines = [f"{format_count(len(health.checks), 'check')} of the training: {ended}."]
    if health.findings:
        lines += ["", *(_finding(finding) for finding in health.findings)]
    if health.past:
        lines += ["", "Found and passed away:", "", *(_finding(finding) for finding in health.past)]
    return lines


def _finding(finding: Finding) -> str:
    until = "" if finding.ended is None else f" to {finding.ended:,}"
    help_ = f" Remedy: {plain(finding.remedies[0].text)}." if finding.remedies else ""
    return f"- **{finding.severity}** `{finding.code}`, step {finding.step:,}{until}: {plain(finding.title)}.{help_}"
