"""The illustrated page of results."""

from __future__ import annotations

from collections.abc import Sequence

from seewhy.comparison.claims.base import Criterion
from seewhy.comparison.claims.catalogue import claim
from seewhy.comparison.claims.results import Result
from seewhy.reporting.claim_records import ClaimRecord, CriterionRow
from seewhy.reporting.formatting import format_count


def claims_page(results: Sequence[Result]) -> str:
    """Return the page of results, at least one, as a whole HTML document.

    Raises:
        InputError: there are none.
    """
    from seewhy.reporting import render_claims  # loads the figures' library

    data = ", ".join(dict.fromkeys(result.data for result in results))
    title = "The canon, measured" if len(results) > 1 else f"{results[0].code}, measured" if results else ""
    lead = f"{format_count(len(results), 'claim')} about deep visual recognition, each an experiment on real images: {data}."
    if any(result.quick for result in results):
        lead += " Quick form: it only tries that the experiments run, and its verdicts mean nothing."
    return render_claims([claim_record(result) for result in results], title=title, lead=lead)


def claims_markdown(results: Sequence[Result]) -> str:
    """Return the results as Markdown: a table of the verdicts, then each claim with its numbers."""
    first = results[0]
    machine = ", ".join(
        dict.fromkeys(f"{each.machine['processor']}, {each.machine['cores']} cores" for each in results)
    )
    seeds = ", ".join(dict.fromkeys(str(each.seeds) for each in results))
    lines = [
        "# The canon, measured",
        "",
        f"{format_count(len(results), 'result')} on {', '.join(dict.fromkeys(each.data for each in results))}, {seeds} seeds each; "
        f"{machine}, torch {first.machine['torch']}; intervals are 95%. Each claim is cut into criteria, and its verdict follows "
        "from their intervals by one rule (`seewhy.comparison.claims.base`): *supported* where all hold, *not supported* where none does, "
        "*depends* where some do. Times, and verdicts on time, are of that machine. The illustrated page: `seewhy claims --report claims.html`. "
        "[Comparing choices on your own images](compare.md).",
        "",
        "| | claim | data | verdict | criteria that hold |",
        "|---|---|---|---|---|",
    ]
    for each in results:
        states = [criterion.state for criterion in each.measured.criteria]
        held = f"{states.count('holds')} of {len(states)}"
        lines.append(f"| {each.code} | {claim(each.code).title} | {each.data} | {each.verdict.name} | {held} |")
    for each in results:
        lines += ["", *_markdown(each)]
    return "\n".join(lines) + "\n"


def _markdown(result: Result) -> list[str]:
    known = claim(result.code)
    rows = [
        f"| {row.text} | {row.measure} | {row.estimate} {row.interval} | {row.region} | {row.state} |"
        for row in map(_row, result.measured.criteria)
    ]
    remarks = [f"- {name}: {text}" for name, text in result.measured.remarks]
    return [
        f"## {result.code}. {known.title} ({result.data})",
        "",
        f"*{known.sentence}* {result.verdict.text}",
        "",
        "| the claim says | number | measured | region | |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *([*remarks, ""] if remarks else []),
        f"{result.measured.experiment} {result.images}; {result.seeds} seeds; {result.seconds:.0f} s. What the source says: {known.source} "
        f"`{result.command}`",
    ]


def claim_record(result: Result) -> ClaimRecord:
    """Return a result as a page shows it."""
    known, machine = claim(result.code), result.machine
    facts = [
        *result.measured.remarks,
        ("images", result.images),
        ("seeds", str(result.seeds)),
        ("hardware", f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores"),
        ("torch", machine["torch"]),
        ("time", f"{result.seconds:.1f} s"),
    ]
    if known.timed:
        facts.append(("of this machine", "the times, and so the verdict, are of this processor"))
    return ClaimRecord(
        code=known.code,
        title=known.title,
        sentence=known.sentence,
        verdict=result.verdict.name,
        text=result.verdict.text,
        criteria=tuple(map(_row, result.measured.criteria)),
        figure=result.measured.figure,
        source=known.source,
        experiment=result.measured.experiment,
        facts=tuple(facts),
        command=result.command,
    )


def _row(criterion: Criterion) -> CriterionRow:
    low, high = criterion.interval
    return CriterionRow(
        text=criterion.text,
        measure=criterion.measure,
        estimate=criterion.written(criterion.estimate),
        interval=f"[{criterion.written(low)}, {criterion.written(high)}]",
        region=criterion.region(),
        state=criterion.state,
    )
