"""Train the specifications of examples/papers and set the results beside the papers' numbers.

    python benchmarks/papers.py                      every paper, its number of seeds
    python benchmarks/papers.py maxout dropout       these only
    python benchmarks/papers.py maxout --seeds 0,1   with these seeds
    python benchmarks/papers.py vae_long --run RUN   train nothing; measure a finished run of this specification, such as a resumed one
    python benchmarks/papers.py --table              train nothing; the table of what was measured before

Every training is `seewhy train --spec examples/papers/NAME.toml --seed S`. Results are kept in examples/papers/results.json, a row a run: the
error on the test part, which each run looks at once, with the machine, the wall time of the training and the time that its threads had of
the processors, which other work on the machine hardly changes (of a run measured by --run only the wall time is known). The tables go into
examples/papers/README.md too.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from machine import hardware

HOME = Path(__file__).resolve().parent.parent / "examples" / "papers"
RESULTS = HOME / "results.json"
README = HOME / "README.md"
KINDS = ("recognisers", "generators")


def train(name: str, seed: int) -> dict[str, Any]:
    """Train once in a fresh folder, and measure."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        spec = HOME / f"{name}.toml"
        command = [sys.executable, "-m", "seewhy", "train", "--spec", spec, "--seed", str(seed), "--out", run]
        start, busy = time.perf_counter(), _children()
        subprocess.run(command, check=True)
        taken = {"seconds": round(time.perf_counter() - start), "processor_seconds": round(_children() - busy)}
        return {"name": name, "seed": seed, **figures(run, name), **taken, "hardware": hardware()}


def finished(name: str, run: Path) -> dict[str, Any]:
    """Measure a run that was trained before, after a look at whether it is one of this specification."""
    wanted = tomllib.loads((HOME / f"{name}.toml").read_text(encoding="utf-8"))
    had = tomllib.loads((run / "spec.toml").read_text(encoding="utf-8"))
    for key, value in _flat(wanted).items():
        if _flat(had).get(key) != value:
            raise SystemExit(f"{run}: is not of {name}.toml: {key} is {_flat(had).get(key)!r}, not {value!r}")
    with (run / "metrics.csv").open(encoding="utf-8") as lines:
        seconds = [float(row["seconds"]) for row in csv.DictReader(lines)][-1]
    row = {"name": name, "seed": had["train"]["seed"], **figures(run, name)}
    return row | {"seconds": round(seconds), "hardware": hardware()}


def _children() -> float:
    """Return the seconds of the processors that the commands called so far have had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _flat(tables: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return the values by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def figures(run: Path, name: str) -> dict[str, Any]:
    """Return what is told of a run on the test part."""
    test = json.loads((run / "results.json").read_text(encoding="utf-8")).get("test")
    if test is None:
        return windows(run) if name.startswith("gan") else likeness(run)
    if "nats" in test:
        return likelihood(run, name)
    low, high = test["interval"]
    row = {"error": 1 - test["accuracy"], "interval": [1 - high, 1 - low], "n": test["n"], "log_loss": test["log_loss"]}
    members = run / "ensemble.json"
    if members.exists():
        row["by_number"] = json.loads(members.read_text(encoding="utf-8"))["test"]["by_number"]
    return row


def likelihood(run: Path, name: str) -> dict[str, Any]:
    """Return the nats of the test part: exact, or bounded by 5,000 codes a picture, as in Burda et al. 2016."""
    found = evaluate(run, *(["--samples", "5000"] if name.startswith(("vae", "iwae")) else []))
    row = {field: found[field] for field in ("nats", "interval", "n", "estimator")}
    code = json.loads((run / "results.json").read_text(encoding="utf-8")).get("code")
    return row | ({"active_units": code["active_units"]} if code else {})


def windows(run: Path) -> dict[str, Any]:
    """Return the nats of the test part under Parzen windows on 10,000 drawn pictures, as in Goodfellow et al. 2014; higher is better."""
    found = evaluate(run, "--drawn", "10000")["parzen"]
    half = 1.96 * found["standard_error"]
    told = f"Parzen windows of width {found['width']:.3g} on {found['n_drawn']:,} pictures"
    return {
        "nats": found["nats"],
        "interval": [found["nats"] - half, found["nats"] + half],
        "n": found["n_test"],
        "estimator": told,
    }


def likeness(run: Path) -> dict[str, Any]:
    """Return how 10,000 drawn pictures, and 10,000 of training, compare with the test part, by the features of a convnet of one epoch."""
    with tempfile.TemporaryDirectory() as scratch:
        reader = Path(scratch) / "reader"
        subprocess.run([sys.executable, "-m", "seewhy", "train", "mnist", "--epochs", "1", "--out", reader], check=True)
        found = evaluate(run, "--drawn", "10000", "--extractor", str(reader))
    row: dict[str, Any] = {"classes": found["classes"]["covered"], "n": found["drawn"]["frechet"]["n_drawn"]}
    for which, likeness in (("drawn", found["drawn"]), ("real", found["yardstick"])):
        row[which] = {
            "fid": likeness["frechet"]["fid"],
            **{name: likeness["precision_recall"][name] for name in ("precision", "recall")},
            **{name: likeness["density_coverage"][name] for name in ("density", "coverage")},
        }
    return row | {"extractor": found["drawn"]["frechet"]["extractor"]}


def evaluate(run: Path, *options: str) -> dict[str, Any]:
    """Return what `seewhy evaluate` says of a run."""
    command = [sys.executable, "-m", "seewhy", "evaluate", str(run), "--json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def keep(row: dict[str, Any]) -> None:
    """Put the row into the results, in place of an older one of the same specification and seed."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    rows = [old for old in rows if (old["name"], old["seed"]) != (row["name"], row["seed"])] + [row]
    rows.sort(key=lambda row: (row["name"], row["seed"]))
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def tables(papers: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the results beside the papers' numbers, a row a paper, by kind of network."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    return {kind: table(rows, {n: p for n, p in papers.items() if p["kind"] == kind}) for kind in KINDS}


def table(rows: list[dict[str, Any]], papers: dict[str, dict[str, Any]]) -> str:
    """Return the table of some papers."""
    lines = [
        "| specification | paper | there | here | runs | minutes | of a processor |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, paper in papers.items():
        mine = [row for row in rows if row["name"] == name]
        if not mine:
            continue
        unit = "%" if "error" in mine[0] else " nats"
        there = f"{paper['error']:.2f}{unit}" if "error" in paper else "-"
        minutes = f"{max(row['seconds'] for row in mine) / 60:.1f}"
        busy = [row["processor_seconds"] / 60 for row in mine if "processor_seconds" in row]
        minutes += f" | {max(busy):.1f}" if busy else " | -"
        lines.append(f"| `{name}` | {paper['source']} | {there} | {here(mine)} | {len(mine)} | {minutes} |")
        for same in zip(*(row["by_number"] for row in mine if "by_number" in row), strict=True):
            error, loss = (
                statistics.mean(values)
                for values in ([100 * (1 - by["accuracy"]) for by in same], [by["log_loss"] for by in same])
            )
            members = f"{same[0]['members']} member{'s' * (same[0]['members'] > 1)}"
            lines.append(f"| | {members} | | {error:.2f}%, log-loss {loss:.4f} | | | |")
    return "\n".join(lines)


def with_tables(text: str, found: dict[str, str]) -> str:
    """Return a text with the tables between their marks."""
    for kind, new in found.items():
        first, last = f"<!-- {kind} -->\n", f"\n<!-- end of {kind} -->"
        start, end = text.index(first) + len(first), text.index(last)
        text = text[:start] + new + text[end:]
    return text


def here(mine: list[dict[str, Any]]) -> str:
    """Return the figure of the runs of a specification: with its interval, or with the range over seeds."""
    first = mine[0]
    if "drawn" in first:
        drawn, real = first["drawn"], first["real"]
        return (
            f"coverage {drawn['coverage']:.3f} (real pictures {real['coverage']:.3f}), FID {drawn['fid']:.2f} ({real['fid']:.2f}), "
            f"{first['classes']} digits, on a {first['extractor']}"
        )
    figure, scale, unit = ("nats", 1, " nats") if "nats" in first else ("error", 100, "%")
    values = [scale * row[figure] for row in mine]
    units = sorted({row["active_units"] for row in mine if "active_units" in row})
    active = f"; {' to '.join(str(n) for n in sorted({units[0], units[-1]}))} active units" if units else ""
    if len(values) > 1:
        return f"{statistics.mean(values):.2f}{unit} ({min(values):.2f} to {max(values):.2f}){active}"
    low, high = (scale * bound for bound in first["interval"])
    return f"{values[0]:.2f}{unit} [{low:.2f}, {high:.2f}]{active}"


def main() -> int:
    """Train what was asked for, and print the table."""
    papers = tomllib.loads((HOME / "papers.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(papers)} (default: all)")
    parser.add_argument("--seeds", help="such as 0,1,2 (default: what papers.toml says)")
    parser.add_argument("--run", type=Path, metavar="RUN", help="measure this finished run of the one NAME")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    for name in options.names:
        if name not in papers:
            parser.error(f"{name}: must be one of {', '.join(papers)}")
    if options.run is not None:
        if len(options.names) != 1:
            parser.error("--run: needs the one NAME that the run is of")
        keep(finished(options.names[0], options.run))
    for name in [] if options.table or options.run else options.names or papers:
        apart = papers[name].get("apart", 1)
        seeds = options.seeds.split(",") if options.seeds else range(0, apart * papers[name].get("seeds", 1), apart)
        for seed in seeds:
            keep(train(name, int(seed)))
    found = tables(papers)
    README.write_text(with_tables(README.read_text(encoding="utf-8"), found), encoding="utf-8")
    print("\n\n".join(found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
