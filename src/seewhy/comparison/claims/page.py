"""The illustrated page of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    data = " and ".join(dict.fromkeys(result.data for result in results))
    claims = list(dict.fromkeys(result.code for result in results))
    title = "The canon, measured" if len(claims) > 1 else f"{claims[0]}, measured" if claims else ""
    lead = f"{format_count(len(claims), 'claim')} about deep visual recognition, each an experiment on real images: {data}."
    if any(result.quick for result in results):
        lead += " Quick form: it only tries that the experiments run, and its verdicts mean nothing."
    return render_claims([claim_record(result) for result in results], title=title, lead=lead)


def claims_markdown(results: Sequence[Result]) -> str:
    """Return the results, at least one, as Markdown: a table of the verdicts, then each claim with its numbers on every data set."""
    data = list(dict.fromkeys(result.data for result in results))
    claims: dict[str, dict[str, Result]] = {}
    for result in sorted(results, key=lambda result: (result.code, data.index(result.data))):
        claims.setdefault(result.code, {})[result.data] = result
    lines = [
        "# The canon, measured",
        "",
        f"{_extent(results, data)}; intervals are 95%. Each claim is cut into criteria, and its verdict follows "
        "from their intervals by one rule (`seewhy.comparison.claims.base`): *supported* where all hold, *not supported* where none does, "
        "*depends* where some do. Times, and verdicts on time, are of that machine. The illustrated page: `seewhy claims --report claims.html`. "
        "[Comparing choices on your own images](compare.md).",
        "",
        *([_agreement(claims), ""] if len(data) > 1 else []),
        f"| | claim | {' | '.join(map(_cell, data))} |",
        "|---|---" + "|---" * len(data) + "|",
    ]
    for code, found in claims.items():
        verdicts = " | ".join(_verdict(found[name]) if name in found else "" for name in data)
        lines.append(f"| {code} | {claim(code).title} | {verdicts} |")
    for code, found in claims.items():
        known = claim(code)
        lines += ["", f"## {code}. {known.title}", "", f"*{known.sentence}* What the source says: {known.source}"]
        for result in found.values():
            lines += ["", *_markdown(result)]
    return "\n".join(lines) + "\n"


def _extent(results: Sequence[Result], data: Sequence[str]) -> str:
    """Return how much was measured, on what and by what machine."""
    machines = ", ".join(
        dict.fromkeys(f"{each.machine['processor']}, {each.machine['cores']} cores" for each in results)
    )
    seeds = ", ".join(dict.fromkeys(str(each.seeds) for each in results))
    versions = ", ".join(dict.fromkeys(each.machine["torch"] for each in results))
    return f"{format_count(len(results), 'result')} on {' and '.join(data)}, {seeds} seeds each; {machines}, torch {versions}"


def _agreement(claims: Mapping[str, Mapping[str, Result]]) -> str:
    """Return how often the verdicts of the data sets are the same."""
    several = {code: {each.verdict.name for each in found.values()} for code, found in claims.items() if len(found) > 1}
    differ = [code for code, verdicts in several.items() if len(verdicts) > 1]
    same = f"The verdict is the same on every data set for {len(several) - len(differ)} of {format_count(len(several), 'claim')}"
    return f"{same}; it differs for {', '.join(differ)}." if differ else f"{same}."


def _verdict(result: Result) -> str:
    states = [criterion.state for criterion in result.measured.criteria]
    return f"{result.verdict.name} ({states.count('holds')} of {len(states)} hold)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown(result: Result) -> list[str]:
    rows = [
        f"| {row.text} | {row.measure} | {row.estimate} {row.interval} | {row.region} | {row.state} |"
        for row in map(_row, result.measured.criteria)
    ]
    remarks = [f"- {name}: {text}" for name, text in result.measured.remarks]
    return [
        f"### {result.code} on {result.data}",
        "",
        result.verdict.text,
        "",
        "| the claim says | number | measured | region | |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *([*remarks, ""] if remarks else []),
        f"{result.measured.experiment} {result.images}; {result.seeds} seeds; {result.seconds:.0f} s. `{result.command}`",
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
        data=result.data,
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
