"""What a diagnosis has found, as parts of a page: the findings, the networks' health, the learning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seewhy.core.findings import SEVERITIES, CheckOutcome, Finding, Status
from seewhy.reporting.formatting import format_count, format_number
from seewhy.reporting.health import column_of, network_contexts, rows_of, slug
from seewhy.reporting.palette import DARK, HEALTH_DARK, HEALTH_LIGHT, LIGHT, health_variables
from seewhy.reporting.plots import line_plot
from seewhy.reporting.records import Health, NetworkHealth
from seewhy.reporting.template import environment, render_page

SCRIPTS, STYLES = ["report.js", "health.js"], ["report.css", "health.css"]

LIGHT_HEALTH = health_variables(HEALTH_LIGHT, (LIGHT["ink"], LIGHT["over"]))
DARK_HEALTH = health_variables(HEALTH_DARK, (DARK["ink"], DARK["page"]))

LAYERS_UP_TO = 8
"""Names that a finding shows at once."""

_STATUSES: tuple[Status, ...] = ("found", "passed", "skipped", "not applicable")
_WORST_FIRST = SEVERITIES[::-1]


def anchors(findings: Sequence[Finding]) -> list[str]:
    """Return the anchor of each finding: `finding-` and its code, numbered where that comes again."""
    ids: list[str] = []
    for finding in findings:
        ids.append(slug(f"finding-{finding.code}", ids))
    return ids


def summary(health: Health) -> str:
    """Return in a sentence what was found."""
    passed = sum(check.status == "passed" for check in health.checks)
    if not health.steps:
        return "No step was seen, so nothing can be said."
    seen, of = format_count(health.steps, "step"), f"{passed} of {len(health.checks)} checks passed"
    if not health.findings:
        return f"Nothing wrong was found in {seen}; {of}."
    counts = Counter(finding.severity for finding in health.findings)
    kinds = ", ".join(
        format_count(counts[severity], severity, severity if severity == "critical" else None)
        for severity in _WORST_FIRST
        if counts[severity]
    )
    return f"{kinds} in {seen}; {of}."


def findings_fragment(health: Health, *, edits: bool) -> str:
    """Draw the findings as cards, those that have passed away, and how every check ended.

    Args:
        health: what was found.
        edits: whether remedies show the edit of a run's request, which a program of somebody else's does not have.
    """
    ids = anchors([*health.findings, *health.past])
    lasting, past = ids[: len(health.findings)], ids[len(health.findings) :]
    networks = {context["name"]: context["id"] for context in network_contexts(health, lasting)}
    drawn = {network.name: network for network in health.networks}
    cards = [
        _card(finding, id_, health, drawn.get(finding.network), networks)
        for finding, id_ in zip([*health.findings, *health.past], ids, strict=True)
    ]
    return (
        environment()
        .get_template("findings.html.j2")
        .render(
            summary=summary(health),
            fine=not health.findings and health.steps > 0,
            cards=cards[: len(lasting)],
            past=cards[len(lasting) : len(lasting) + len(past)],
            several=len(health.networks) > 1,
            edits=edits,
            checks=_checks(health.checks),
        )
    )


def network_fragment(health: Health) -> str:
    """Draw the networks layer by layer; "" where none was probed."""
    if not is_drawn(health):
        return ""
    contexts = network_contexts(health, anchors(health.findings))
    template = environment().get_template("network.html.j2")
    return template.render(networks=contexts, titled=len(contexts) > 1 or contexts[0]["name"] != "model")


def is_drawn(health: Health) -> bool:
    """Whether a network was probed, so that there is one to draw."""
    return any(network.steps and network.layers for network in health.networks)


def render_why(health: Health, *, title: str) -> str:
    """Draw what watching a training has found as one page.

    Args:
        health: what was found and measured.
        title: the page's heading.

    Returns:
        A whole HTML document that loads nothing from anywhere.
    """
    network, learning = network_fragment(health), [drawn for plot in health.learning if (drawn := line_plot(plot))]
    navigation = [("findings", "Findings")]
    navigation += [("network", "Network")] if network else []
    navigation += [("learning", "Learning")] if learning or health.told else []
    return render_page(
        "why.html.j2",
        title=title,
        scripts=SCRIPTS,
        styles=STYLES,
        light=LIGHT_HEALTH,
        dark=DARK_HEALTH,
        navigation=navigation if len(navigation) > 1 else (),
        findings=findings_fragment(health, edits=False),
        network=network,
        learning=learning,
        told=health.told,
    )


def _card(
    finding: Finding, id_: str, health: Health, network: NetworkHealth | None, networks: Mapping[str, str]
) -> dict[str, Any]:
    plot = health.plots.get(finding.fingerprint)
    rows = rows_of(network, finding) if network is not None else []
    return {
        "id": id_,
        "finding": finding,
        "layers": finding.layers[:LAYERS_UP_TO],
        "more": max(0, len(finding.layers) - LAYERS_UP_TO),
        "evidence": [(name.replace("_", " "), _value(value)) for name, value in finding.evidence.items()],
        "plot": line_plot(plot) if plot is not None else "",
        "where": networks.get(finding.network, ""),
        "column": column_of(network.steps, finding.step) if network is not None else 0,
        "rows": " ".join(map(str, rows)),
        "measure": health.measures.get(finding.fingerprint, ""),
    }


def _value(value: object) -> str:
    """Return a value of the evidence as text; one that is not finite is evidence, not a gap."""
    if isinstance(value, (bool, str)) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, (int, float)):
        text = format_number(value, 3)
        return str(value) if text == "–" else text
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_value(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value[:12])) + (", …" if len(value) > 12 else "")
    return str(value)


def _checks(checks: Sequence[CheckOutcome]) -> dict[str, Any]:
    counts = Counter(check.status for check in checks)
    return {
        "rows": sorted(checks, key=lambda check: _STATUSES.index(check.status)),
        "counts": ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status]),
    }
