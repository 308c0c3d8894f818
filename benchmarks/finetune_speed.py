"""A step of fine-tuning beside the plainest PyTorch loop with the same network of timm, in turns in one process.

    python benchmarks/finetune_speed.py IMAGES [--backbone resnet18] [--size 224] [--batch 32] [--steps 20] [--precision fp32] [--watch]

IMAGES is a folder of class folders. Both train all weights (drawn at random) in one precision, channels last, with fused AdamW. The plain loop
takes ready float images, and does nothing but forward, cross-entropy, backward and step. Ours is all of a step: gather, flip, crop,
normalisation, metrics, schedule, events; with --watch also what watching costs. The times are of the clock and of the processor, which other
programs disturb less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import timm
import torch
from machine import hardware
from torch.nn import functional as F

import seewhy
from seewhy.data import Batch
from seewhy.spec import build_request
from seewhy.training import loop, state
from seewhy.training.build import make_job, prepare
from seewhy.training.fabric import unwrapped
from seewhy.training.job import Job, Progress


def endless(job: Job) -> Iterator[Batch]:
    """Yield the batches of epoch after epoch."""
    epoch = 0
    while True:
        yield from job.batches(epoch, 0)
        epoch += 1


def plain_step(options: argparse.Namespace, classes: int, lr: float) -> Callable[[], object]:
    """Return the plainest step."""
    model = timm.create_model(options.backbone, num_classes=classes).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)
    images = torch.randn(options.batch, 3, options.size, options.size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (options.batch,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def timed(step: Callable[[], object]) -> tuple[float, float]:
    """Return milliseconds by the clock, and of the processor."""
    start, before = time.perf_counter(), time.process_time()
    step()
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--watch", action="store_true")
    options = parser.parse_args()
    side = round(options.size / timm.get_pretrained_cfg(options.backbone).crop_pct)
    fields = {
        "model": "timm",
        "model.backbone": options.backbone,
        "model.weights": "none",
        "precision": options.precision,
    }
    fields |= {"model.input_size": options.size, "data.resolution": side, "batch_size": options.batch}
    with tempfile.TemporaryDirectory() as place, state.training():
        prepared = prepare(build_request(options.images, None, fields), lambda _: None)
        job, progress = make_job(prepared, Path(place), lambda _: None, None), Progress()
        watch = seewhy.watch(job.model, unwrapped(job.optimizer), tell=None) if options.watch else None
        batches = endless(job)
        job.wrapped.train()
        own: Callable[[], object] = lambda: loop._step(job, progress, next(batches), 0)  # noqa: E731
        plain = plain_step(options, prepared.facts.classes, job.base_lrs[0])
        for step in (own, plain, own, plain):
            step()
        turns = [
            (timed(own), timed(plain)) if turn % 2 else (timed(plain), timed(own))[::-1]
            for turn in range(options.steps)
        ]
        if watch is not None:
            watch.close()
    print(
        f"{options.backbone} at {options.size} px, batch {options.batch}, {options.precision}, n = {options.steps} in turns; {hardware()}"
    )
    for kind, name in enumerate(("by the clock", "of the processor")):
        ours, theirs = ([turn[who][kind] for turn in turns] for who in (0, 1))
        low, middle, high = statistics.quantiles([one / other for one, other in zip(ours, theirs, strict=True)], n=4)
        print(
            f"{name:17} step {statistics.median(ours):8.1f} ms, plain loop {statistics.median(theirs):8.1f} ms, "
            f"ratio {middle:.3f} (quartiles {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
