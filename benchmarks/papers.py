"""Train the specifications of examples/papers and set the results beside the papers' numbers.

    python benchmarks/papers.py                      every paper, its number of seeds
    python benchmarks/papers.py maxout dropout       these only
    python benchmarks/papers.py maxout --seeds 0,1   with these seeds
    python benchmarks/papers.py vae_long --run RUN   train nothing; measure a finished run of this specification, such as a resumed one
    python benchmarks/papers.py --table              train nothing; the table of what was measured before

Every training is `seewhy train --spec examples/papers/NAME.toml --seed S`. Results are stored in examples/papers/results.json, one row per run:
the error on the test split, which each run evaluates once, with the machine, the wall time of the training and its threads' processor time,
which other work on the machine hardly changes (of a run measured by --run only the wall time is known). The tables go into
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
from tables import with_tables

from seewhy.spec import Request, RunSpec

HOME = Path(__file__).resolve().parent.parent / "examples" / "papers"
RESULTS = HOME / "results.json"
README = HOME / "README.md"


def train(name: str, seed: int) -> dict[str, Any]:
    """Train once in a fresh folder, and measure."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        spec = HOME / f"{name}.toml"
        command = [sys.executable, "-m", "seewhy", "train", "--spec", spec, "--seed", str(seed), "--out", run]
        start, busy = time.perf_counter(), _processor_seconds()
        subprocess.run(command, check=True)
        wall, busy = time.perf_counter() - start, _processor_seconds() - busy
        row = {"name": name, "seed": seed, **figures(run, name)}
        return row | {"seconds": round(wall), "processor_seconds": round(busy), "hardware": hardware()}


def finished(name: str, run: Path) -> dict[str, Any]:
    """Measure a run that was trained before, if it is one of this specification."""
    request, spec = Request.from_toml(HOME / f"{name}.toml"), RunSpec.from_toml(run / "spec.toml")
    for path in sorted(request.asked()):
        if spec.flat().get(path) != request.get(path):
            raise SystemExit(
                f"{run}: is not of {name}.toml: {path} is {spec.flat().get(path)!r}, not {request.get(path)!r}"
            )
    with (run / "metrics.csv").open(encoding="utf-8") as lines:
        seconds = [float(row["seconds"]) for row in csv.DictReader(lines)][-1]
    row = {"name": name, "seed": spec.train.seed, **figures(run, name)}
    return row | {"seconds": round(seconds), "hardware": hardware()}


def _processor_seconds() -> float:
    """Return the processor time of the commands that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(run: Path, name: str) -> dict[str, Any]:
    """Return the figures of a run on the test split."""
    test = json.loads((run / "results.json").read_text(encoding="utf-8")).get("test")
    if test is None:
        return parzen_windows(run) if name.startswith("gan") else sample_quality(run)
    if "nats" in test:
        return likelihood(run, name)
    low, high = test["interval"]
    row = {"error": 1 - test["accuracy"], "interval": [1 - high, 1 - low], "n": test["n"], "log_loss": test["log_loss"]}
    members = run / "ensemble.json"
    if members.exists():
        row["by_number"] = json.loads(members.read_text(encoding="utf-8"))["test"]["by_number"]
    return row


def likelihood(run: Path, name: str) -> dict[str, Any]:
    """Return the nats of the test split: exact, or bounded by 5,000 latents for each image, as in Burda et al. 2016."""
    measured = evaluate(run, *(["--samples", "5000"] if name.startswith(("vae", "iwae")) else []))
    row = {field: measured[field] for field in ("nats", "interval", "n", "estimator")}
    latent = json.loads((run / "results.json").read_text(encoding="utf-8")).get("latent")
    return row | ({"active_units": latent["active_units"]} if latent else {})


def parzen_windows(run: Path) -> dict[str, Any]:
    """Return the nats of the test split under Parzen windows on 10,000 samples, as in Goodfellow et al. 2014; higher is better."""
    parzen = evaluate(run, "--generated", "10000")["parzen"]
    half = 1.96 * parzen["standard_error"]
    return {
        "nats": parzen["nats"],
        "interval": [parzen["nats"] - half, parzen["nats"] + half],
        "n": parzen["n_test"],
        "estimator": f"Parzen windows of bandwidth {parzen['bandwidth']:.3g} on {parzen['n_generated']:,} images",
    }


def sample_quality(run: Path) -> dict[str, Any]:
    """Return how similar 10,000 samples, and 10,000 training images, are to the test split, by the features of a convnet of one epoch."""
    with tempfile.TemporaryDirectory() as scratch:
        extractor = Path(scratch) / "extractor"
        command = [sys.executable, "-m", "seewhy", "train", "mnist", "--epochs", "1", "--out", extractor]
        subprocess.run(command, check=True)
        quality = evaluate(run, "--generated", "10000", "--extractor", str(extractor))
    frechet = quality["generated"]["frechet"]
    row: dict[str, Any] = {"classes": quality["classes"]["covered"], "n": frechet["n_generated"]}
    for which, similarity in (("drawn", quality["generated"]), ("real", quality["reference"])):
        row[which] = {
            "fid": similarity["frechet"]["fid"],
            **{name: similarity["precision_recall"][name] for name in ("precision", "recall")},
            **{name: similarity["density_coverage"][name] for name in ("density", "coverage")},
        }
    return row | {"extractor": frechet["extractor"]}


def evaluate(run: Path, *options: str) -> dict[str, Any]:
    """Return the figures of `seewhy evaluate`."""
    command = [sys.executable, "-m", "seewhy", "evaluate", str(run), "--json", *options]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(printed)
    return figures


def save(row: dict[str, Any]) -> None:
    """Store the row in the results, in place of an older one of the same specification and seed."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    rows = [old for old in rows if (old["name"], old["seed"]) != (row["name"], row["seed"])] + [row]
    rows.sort(key=lambda row: (row["name"], row["seed"]))
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def tables(papers: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the results beside the papers' numbers, one row per paper, by the kinds of papers.toml."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    kinds = dict.fromkeys(paper["kind"] for paper in papers.values())
    return {kind: table(rows, {n: p for n, p in papers.items() if p["kind"] == kind}) for kind in kinds}


def table(rows: list[dict[str, Any]], papers: dict[str, dict[str, Any]]) -> str:
    """Return the table of some papers."""
    lines = [
        "| specification | paper | there | here | runs | minutes | of a processor |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, paper in papers.items():
        runs = [row for row in rows if row["name"] == name]
        if not runs:
            continue
        unit = "%" if "error" in runs[0] else " nats"
        there = f"{paper['error']:.2f}{unit}" if "error" in paper else "-"
        minutes = f"{max(row['seconds'] for row in runs) / 60:.1f}"
        busy = [row["processor_seconds"] / 60 for row in runs if "processor_seconds" in row]
        minutes += f" | {max(busy):.1f}" if busy else " | -"
        lines.append(f"| `{name}` | {paper['source']} | {there} | {format_result(runs)} | {len(runs)} | {minutes} |")
        for means in zip(*(row["by_number"] for row in runs if "by_number" in row), strict=True):
            error, loss = (
                statistics.mean(values)
                for values in ([100 * (1 - by["accuracy"]) for by in means], [by["log_loss"] for by in means])
            )
            members = f"{means[0]['members']} member{'s' * (means[0]['members'] > 1)}"
            lines.append(f"| | {members} | | {error:.2f}%, log-loss {loss:.4f} | | | |")
    return "\n".join(lines)


def format_result(runs: list[dict[str, Any]]) -> str:
    """Return the figure of the runs of a specification: with its interval, or with the range over seeds."""
    first = runs[0]
    if "drawn" in first:
        generated, real = first["drawn"], first["real"]
        return (
            f"coverage {generated['coverage']:.3f} (real images {real['coverage']:.3f}), FID {generated['fid']:.2f} ({real['fid']:.2f}), "
            f"{first['classes']} digits, on a {first['extractor']}"
        )
    figure, scale, unit = ("nats", 1, " nats") if "nats" in first else ("error", 100, "%")
    values = [scale * row[figure] for row in runs]
    units = sorted({row["active_units"] for row in runs if "active_units" in row})
    active = f"; {' to '.join(str(n) for n in sorted({units[0], units[-1]}))} active units" if units else ""
    if len(values) > 1:
        return f"{statistics.mean(values):.2f}{unit} ({min(values):.2f} to {max(values):.2f}){active}"
    low, high = (scale * bound for bound in first["interval"])
    return f"{values[0]:.2f}{unit} [{low:.2f}, {high:.2f}]{active}"


def main() -> int:
    """Train the papers that are named, and print the tables."""
    papers = tomllib.loads((HOME / "papers.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(papers)} (default: all)")
    parser.add_argument("--seeds", help="such as 0,1,2 (default: those of papers.toml)")
    parser.add_argument("--run", type=Path, metavar="RUN", help="measure this finished run of the one NAME")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    for name in options.names:
        if name not in papers:
            parser.error(f"{name}: must be one of {', '.join(papers)}")
    if options.run is not None:
        if len(options.names) != 1:
            parser.error("--run: needs the one NAME that the run is of")
        save(finished(options.names[0], options.run))
    for name in [] if options.table or options.run else options.names or papers:
        step = papers[name].get("apart", 1)
        seeds = options.seeds.split(",") if options.seeds else range(0, step * papers[name].get("seeds", 1), step)
        for seed in seeds:
            save(train(name, int(seed)))
    by_kind = tables(papers)
    README.write_text(with_tables(README.read_text(encoding="utf-8"), by_kind), encoding="utf-8")
    print("\n\n".join(by_kind.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
