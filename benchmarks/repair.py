"""Of the faults that an edit can mend, how many do the first or second remedy mend, and how many a random change of equal cost?

    python benchmarks/repair.py [--seeds 5] [--only rate_high,vae_beta] [--remedies 2] [--out repair.json]

A case is a healthy request on the embedded digits and an edit that makes it ill. Of each seed the ill run is trained and watched; the remedies
of its findings that are edits and fit it are applied one at a time, in their order (the likeliest finding's first), and so is a random change
(`seewhy.runs.diagnose.control`). A fault counts as mended if the final validation metric is within 2 standard deviations of the healthy
twin's over seeds, or better; the standard deviation counts as one image's share at least. A case whose ill runs are within that noise does
not hurt, and is left out of the rates. The second table orders remedies by what they have mended, with `--remedies 9` all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from machine import hardware

from seewhy.core.errors import InputError, RunError
from seewhy.core.findings import Finding
from seewhy.runs import train
from seewhy.runs.diagnose.control import changed_spec, edited, random_edit, settled
from seewhy.runs.diagnose.diagnosis import read_diagnosis
from seewhy.runs.run import Run
from seewhy.spec import Metric, Request, parse_edit

COMMON = {"precision": "fp32", "train.device": "cpu", "train.threads": 1, "data.val_fraction": 0.25}
MLP = {"model": "mlp", "width": 64, "depth": 3, "norm": "none", "optimizer": "adam", "epochs": 8}
SGD = {**MLP, "optimizer": "momentum"}
NORMED = {**MLP, "norm": "batch"}
CONV = {"model": "convnet", "width": 8, "depth": 2, "epochs": 4}
PLAIN = {**CONV, "norm": "none", "init": "he", "optimizer": "adam", "epochs": 15}
RESNET = {"model": "resnet", "width": 8, "depth": 1, "epochs": 10}
VAE = {"model": "vae", "width": 64, "depth": 1, "model.latent_dim": 8, "epochs": 15, "train.ema": 0.9}
AUTOENCODER = {**VAE, "model": "autoencoder"}


@dataclass(frozen=True)
class Case:
    """A fault: its name, the healthy options, the edit that makes them ill."""

    name: str
    healthy: dict[str, Any]
    fault: str


CASES = (
    Case("rate_high", MLP, "optim.lr = 0.2"),
    Case("rate_high_momentum", SGD, "optim.lr = 5.0"),
    Case("rate_high_convnet", PLAIN, "optim.lr = 0.2"),
    Case("rate_high_vae", VAE, "optim.lr = 0.2"),
    Case("rate_low", MLP, "optim.lr = 2e-7"),
    Case("rate_low_momentum", SGD, "optim.lr = 5e-6"),
    Case("rate_low_resnet", RESNET, "optim.lr = 1e-6"),
    Case("rate_low_autoencoder", AUTOENCODER, "optim.lr = 1e-7"),
    Case("sum_like_rate", {**SGD, "optimizer": "sgd"}, "optim.lr = 6.4"),
    Case("init_small", SGD, 'model.init = { name = "normal", std = 0.001 }'),
    Case("init_zero_like", MLP, 'model.init = { name = "normal", std = 1e-8 }'),
    Case("init_large", SGD, 'model.init = { name = "normal", std = 1.0 }'),
    Case("init_large_tanh", {**MLP, "activation": "tanh"}, 'model.init = { name = "normal", std = 2.0 }'),
    Case("deep_sigmoid", MLP, 'model.activation = "sigmoid", model.depth = 10'),
    Case("deep_tanh", {**MLP, "activation": "tanh", "depth": 10}, 'model.init = { name = "normal", std = 0.05 }'),
    Case("deep_relu", {**MLP, "depth": 10}, 'model.init = { name = "normal", std = 0.05 }'),
    Case("dead_relu", {**PLAIN, "optimizer": "momentum"}, "optim.lr = 1.0"),
    Case("dropout", MLP, "reg.dropout = 0.95"),
    Case("dropout_convnet", CONV, "reg.dropout = 0.98"),
    Case("input_dropout", MLP, "reg.input_dropout = 0.97"),
    Case("weight_decay", {**MLP, "optimizer": "adamw"}, "optim.weight_decay = 30.0"),
    Case("weight_decay_sgd", SGD, "optim.weight_decay = 1.0"),
    Case("l2", MLP, "reg.l2 = 1.0"),
    Case("max_norm", MLP, "reg.max_norm = 0.01"),
    Case("label_smoothing", MLP, "reg.label_smoothing = 0.99"),
    Case("momentum", SGD, "optim.momentum = 0.999"),
    Case("adam_eps", MLP, "optim.eps = 1000.0"),
    Case("too_few_units", NORMED, "model.width = 2"),
    Case("too_few_units_convnet", CONV, "model.width = 1, model.depth = 1"),
    Case("too_few_latents", AUTOENCODER, "model.latent_dim = 1"),
    Case("batch_too_large", SGD, "train.batch_size = 1000"),
    Case("batch_norm_tiny_batch", NORMED, "train.batch_size = 2"),
    Case("posterior_collapse", VAE, "model.beta = 20.0"),
    Case(
        "overfitting",
        {**MLP, "data.test_fraction": 0.6, "width": 256},
        "train.epochs = 150.0, reg.label_smoothing = 0.0",
    ),
)


@dataclass
class Trained:
    """What one run has reached: the metric (None for one that could not go on), and the run."""

    value: float | None
    run: Run


class Bench:
    """Trains runs in a folder, and remembers the healthy ones."""

    def __init__(self, folder: Path, seeds: int, remedies: int) -> None:
        self.folder, self.seeds, self.remedies = folder, range(seeds), remedies
        self.count = 0
        self.twins: dict[str, list[float]] = {}

    def train(self, request: Request, seed: int) -> Trained:
        """Train and watch one run."""
        self.count += 1
        folder = self.folder / f"{self.count:04d}"
        try:
            train.start(request.with_changes({"train.seed": seed}), folder, watch=True)
        except RunError:  # the loss is not finite
            return Trained(None, Run(folder))
        run = Run(folder)
        metric = metric_of(run)
        return Trained(run.results["val"][metric.name], run)

    def twin(self, request: Request) -> list[float]:
        """Return what the healthy request reaches, by seed."""
        name = request.to_toml()
        if name not in self.twins:
            values = [self.train(request, seed).value for seed in self.seeds]
            assert None not in values, f"a healthy run failed: {name}"
            self.twins[name] = [value for value in values if value is not None]
        return self.twins[name]

    def case(self, case: Case) -> dict[str, Any]:
        """Measure one case."""
        healthy = Request.make("digits", {**COMMON, **case.healthy})
        twin = self.twin(healthy)
        rows = [self.seed(edited(healthy, case.fault), seed, twin) for seed in self.seeds]
        found = {"name": case.name, "fault": case.fault, "twin": {"values": twin, **spread(twin)}, "seeds": rows}
        return {**found, "hurts": sum(not row["sound"] for row in rows) > len(rows) / 2}

    def seed(self, request: Request, seed: int, twin: Sequence[float]) -> dict[str, Any]:
        """Train an ill run, its remedied ones, and the random change."""
        ill = self.train(request, seed)
        metric, base = metric_of(ill.run), settled(ill.run)
        images = ill.run.facts.val_images
        remedies = list(edits_of(ill.run, base))
        row: dict[str, Any] = {
            "seed": seed,
            "value": ill.value,
            "sound": sound(ill.value, twin, metric, images),
            "findings": [finding.code for finding in ill.run.findings],
            "past": [finding.code for finding in read_diagnosis(ill.run).past],
            "without_edit": [
                f"{finding.code}: {remedy.text}"
                for finding in ill.run.findings
                for remedy in finding.remedies
                if remedy.edit is None
            ],
            "unfit": list(unfit(ill.run, base)),
            "remedies": [],
        }
        for finding, edit in remedies[: self.remedies]:
            value = self.train(edited(base, edit), seed).value
            mended = sound(value, twin, metric, images)
            row["remedies"].append({"finding": finding.code, "edit": edit, "value": value, "mended": mended})
        drawn = random_edit(ill.run, base, [edit for _, edit in remedies], seed)
        value = self.train(edited(base, drawn), seed).value
        row["random"] = {"edit": drawn, "value": value, "mended": sound(value, twin, metric, images)}
        return row


def metric_of(run: Run) -> Metric:
    metric = run.spec.family.metric
    assert metric is not None
    return metric


def fits(run: Run, base: Request, edit: str) -> str:
    """Return why an edit does not fit, "" if it does."""
    try:
        changed_spec(run, base, edit)
    except InputError as error:
        return str(error)
    return ""


def edits_of(run: Run, base: Request) -> Iterator[tuple[Finding, str]]:
    """Yield the edits of a run's findings that fit it, in order, each once."""
    seen: list[dict[str, Any]] = []
    for finding in run.findings:
        for remedy in finding.remedies:
            if remedy.edit is not None and parse_edit(remedy.edit) not in seen and not fits(run, base, remedy.edit):
                seen.append(parse_edit(remedy.edit))
                yield finding, remedy.edit


def unfit(run: Run, base: Request) -> Iterator[str]:
    """Yield the edits that do not fit the run, with why."""
    for finding in run.findings:
        for remedy in finding.remedies:
            if remedy.edit is not None and (why := fits(run, base, remedy.edit)):
                yield f"{finding.code}: {remedy.edit}: {why}"


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def sound(value: float | None, twin: Sequence[float], metric: Metric, images: int) -> bool:
    """Whether a metric is within the noise of the healthy twin's, or better."""
    if value is None:
        return False
    about = spread(twin)
    noise = 2 * max(about["sd"], 0.0 if metric.unit else 1 / images)
    short = about["mean"] - value if metric.higher else value - about["mean"]
    return short <= noise


@dataclass
class Counts:
    """Of some faults: how many there are, and how many were mended."""

    faults: int = 0
    mended: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, row: dict[str, Any]) -> None:
        """Count one ill run."""
        self.faults += 1
        worked = [remedy["mended"] for remedy in row["remedies"]]
        self.mended["first"] += any(worked[:1])
        self.mended["first or second"] += any(worked[:2])
        self.mended["random"] += row["random"]["mended"]

    def __str__(self) -> str:
        names = ("first", "first or second", "random")
        return ", ".join(f"{name} {self.mended[name]}/{self.faults}" for name in names)


def show(case: dict[str, Any]) -> None:
    """Print a case's line, and what it leaves to be done."""
    values = [row["value"] for row in case["seeds"] if row["value"] is not None]
    ill = f"{statistics.fmean(values):8.3f}" if values else "  failed"
    counts = Counts()
    for row in case["seeds"]:
        counts.add(row)
    told = str(counts) if case["hurts"] else "does not hurt"
    print(f"{case['name']:<24} {case['twin']['mean']:8.3f} (sd {case['twin']['sd']:.3f}) {ill}   {told}")
    codes = sorted({code for row in case["seeds"] for code in row["findings"]})
    past = sorted({code for row in case["seeds"] for code in row["past"]})
    print(f"{'':<24} found: {', '.join(codes) or 'nothing'}" + (f"; passed away: {', '.join(past)}" if past else ""))
    tried: dict[str, list[bool]] = defaultdict(list)
    for row in case["seeds"]:
        for remedy in row["remedies"]:
            tried[f"{remedy['finding']}: {remedy['edit']}"].append(remedy["mended"])
    for name, worked in tried.items():
        print(f"{'':<24} {name}: mended {sum(worked)}/{len(worked)}")
    for name in ("without_edit", "unfit"):
        for text in sorted({text for row in case["seeds"] for text in row[name]}):
            print(f"{'':<24} {name.replace('_', ' ')}: {text}")
    sys.stdout.flush()


def summary(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the rates over ill runs of cases that hurt, the misses by name, and the remedies by what they mended."""
    counts, remedies = Counts(), dict[str, list[bool]]()
    misses = []
    for case in cases:
        if not case["hurts"]:
            continue
        for row in case["seeds"]:
            counts.add(row)
            for remedy in row["remedies"]:
                paths = ", ".join(parse_edit(remedy["edit"]))
                remedies.setdefault(f"{remedy['finding']}: {paths}", []).append(remedy["mended"])
        mended = sum(any(remedy["mended"] for remedy in row["remedies"][:2]) for row in case["seeds"])
        if mended < len(case["seeds"]):
            misses.append(f"{case['name']} ({mended}/{len(case['seeds'])})")
    table = {name: [sum(worked), len(worked)] for name, worked in sorted(remedies.items())}
    return {"faults": counts.faults, "mended": dict(counts.mended), "misses": misses, "remedies": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="names of cases, with commas")
    parser.add_argument("--remedies", type=int, default=2, help="remedies of each ill run that are tried")
    parser.add_argument("--out", type=Path, help="JSON file of everything")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [name for name in options.only.split(",") if name]
    unknown = sorted(set(wanted) - {case.name for case in CASES})
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; cases: {', '.join(case.name for case in CASES)}")
    started, cases = time.perf_counter(), []
    print(f"{hardware()}; n = {options.seeds} seeds")
    print(f"{'case':<24} healthy                 ill   mended")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.seeds, max(2, options.remedies))
        for case in CASES:
            if not wanted or case.name in wanted:
                cases.append(bench.case(case))
                show(cases[-1])
    found = summary(cases)
    print(
        f"\n{found['faults']} ill runs of cases that hurt; mended: "
        + ", ".join(f"{k} {v}" for k, v in found["mended"].items())
    )
    print(f"missed: {', '.join(found['misses']) or 'none'}")
    print("\nremedies, by what they mended")
    for name, (worked, tried) in sorted(
        found["remedies"].items(), key=lambda item: (item[0].split(":")[0], -item[1][0] / item[1][1])
    ):
        print(f"  {name:<60} {worked}/{tried}")
    print(f"{bench.count} runs in {time.perf_counter() - started:.0f} s")
    if options.out is not None:
        value = {"hardware": hardware(), "seeds": options.seeds, "cases": cases, "summary": found}
        options.out.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
