"""Pages made from what the package knows: techniques, options, claims with their figures, findings, benchmarks. They lie in docs/generated/."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from PIL import Image

from seewhy.cli.main import COMMANDS, parser_of, run
from seewhy.comparison.claims.page import claims_markdown
from seewhy.comparison.claims.results import Result, committed_results
from seewhy.reporting import claim_chart, save_figure
from seewhy.reporting.claim_records import Images
from seewhy.spec.options import all_options
from seewhy.spec.sections import SECTION_TITLES


def write_pages(folder: Path) -> None:
    """Write all of them; what has not changed keeps its time, so that Sphinx does not read it again."""
    folder.mkdir(exist_ok=True)
    pages = {
        "techniques.md": techniques(),
        "claims.md": claims(folder),
        "commands.md": commands(),
        "options.md": options(),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def cell(text: object) -> str:
    """Return a text as a table's cell."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("*", "\\*").replace("<", "&lt;")


def printed(*arguments: str) -> str:
    """Return what a command prints."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert run(arguments) == 0
    return out.getvalue()


def techniques() -> str:
    """Return the page of techniques, as `seewhy techniques --json` tells them, with the verdicts of the claims that measured them."""
    entries: Sequence[Mapping[str, Any]] = json.loads(printed("techniques", "--json"))
    lines = [
        "# Techniques",
        "",
        "What can be chosen, by family. `seewhy techniques NAME` prints a card; `--show` draws it.",
        "",
    ]
    for family in dict.fromkeys(entry["family"] for entry in entries):
        lines += [f"## {family[:1].upper()}{family[1:]}", ""]
        for entry in entries:
            if entry["family"] == family:
                lines += _technique(entry)
    return "\n".join(lines)


def _technique(entry: Mapping[str, Any]) -> list[str]:
    lines = [f"### `{entry['name']}`", "", f"{cell(entry['summary'])}.", "", "| | |", "|---|---|"]
    for name in ("formula", "source", "good_for", "bad_for", "choose", "options", "qualified_name"):
        value = entry[name]
        if value:
            code = name in ("formula", "choose", "options", "qualified_name")
            texts = value if isinstance(value, list) else [value]
            shown = ", ".join(
                f"`{text.replace('|', chr(92) + '|').replace(chr(10), ' ')}`" if code else cell(text) for text in texts
            )
            lines.append(f"| {name.replace('_', ' ')} | {shown} |")
    for each in entry["claims"]:
        verdicts = ", ".join(f"{result['verdict']} on {result['data']}" for result in each["results"])
        lines.append(f"| measured | [{each['code']}](claims.md): {cell(each['title'])}: {verdicts} |")
    return [*lines, ""]


def claims(folder: Path) -> str:
    """Return the page of the canon's claims, from the results that come with the package, with their figures."""
    results = list(committed_results().values())
    text = claims_markdown(results).replace("](compare.md)", "](../compare.md)")
    for result in results:
        title = f"### {result.code} on {result.data}\n"
        assert title in text
        text = text.replace(title, f"{title}\n{_figure(result, folder)}\n")
    return text


def _figure(result: Result, folder: Path) -> str:
    """Draw a result's figure, unless it is drawn already, and return the Markdown that shows it."""
    figure = result.measured.figure
    if isinstance(figure, Images):
        return ""
    path = folder / f"{result.code}-{result.data}.png"
    known = path.with_suffix(".json")
    spec = json.dumps(claim_chart(figure).to_dict(), sort_keys=True)
    if not path.exists() or not known.exists() or known.read_text(encoding="utf-8") != spec:
        path.unlink(missing_ok=True)
        save_figure(claim_chart(figure), path)
        known.write_text(spec, encoding="utf-8")
    with Image.open(path) as drawn:
        width = drawn.width // 2  # it is drawn at twice its size
    return f"![{result.code}: {cell(figure.y)}]({path.name}){{width={width}px}}\n"


def commands() -> str:
    """Return the page of commands: what each one's help says, but for the options of a run."""
    lines = [
        "# Commands",
        "",
        "`seewhy COMMAND --help` prints these. The options of `train` are [a page of their own](options.md).",
        "",
    ]
    known = {f"--{each.path}" for each in all_options()}
    for name, summary in COMMANDS.items():
        parser = parser_of(name, [])
        lines += [f"## `seewhy {name}`", "", f"{summary[:1].upper()}{summary[1:]}.", "", "```text"]
        lines += [(parser.description or "").strip(), "```", "", "| | |", "|---|---|"]
        for action in parser._actions:
            if known & set(action.option_strings) or action.help in (None, "==SUPPRESS==") or action.dest == "help":
                continue
            form = parser._get_formatter()._format_action_invocation(action).replace("|", "\\|")
            lines.append(f"| `{form}` | {cell(str(action.help).replace('%%', '%'))} |")
        lines.append("")
    return "\n".join(lines)


def options() -> str:
    """Return the page of a run's fields: every option of every model and optimiser."""
    lines = [
        "# Options of a run",
        "",
        "Every field of the specification, on the command line `--section.field`, in TOML and Python alike. ",
    ]
    lines += [
        "`seewhy train --model vae --help` lists those of one model. Where no default stands it is chosen from the data and the machine.",
        "",
    ]
    fields = all_options()
    for section, title in SECTION_TITLES.items():
        lines += [
            f"## {title[:1].upper()}{title[1:]} (`{section}`)",
            "",
            "| option | short | what it is | default |",
            "|---|---|---|---|",
        ]
        for each in fields:
            if each.section == section:
                short = ", ".join(f"`--{alias.replace('_', '-')}`" for alias in each.aliases)
                belongs = f"({', '.join(each.belongs)}) " if each.belongs else ""
                choices = f" One of {', '.join(f'`{name}`' for name in each.names)}." if each.names else ""
                default = "" if each.default in (None, ()) else f"`{each.default}`"
                what = cell(f"{belongs}{each.info.description}")
                lines.append(f"| `--{each.path.replace('_', '-')}` | {short} | {what}{choices} | {default} |")
        lines.append("")
    return "\n".join(lines)
