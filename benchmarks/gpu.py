"""What can only be seen on a GPU, in about ten minutes, each part with a line that ends in ok, FAILED or skipped.

    python benchmarks/gpu.py [--data cifar10-jpeg.tar.gz] [--only PART ...]
    python benchmarks/gpu.py --device cpu --quick       that the script itself works, anywhere

families    each trains on the digits in bf16, is stopped, goes on, and samples: losses are finite, resumed weights are those of the whole run
waiting     steps in which the host waits for the device, but for the one read of their metrics (torch.cuda.set_sync_debug_mode)
place       batches are gathered and augmented on the device, and convolutions keep the channels last
accuracy    the defaults on CIFAR-10: seconds and accuracy
compile     a step of the default convnet with and without torch.compile
processes   two processes share a training (one device each)

The peak of the device's memory stands behind every training. The exit code is 1 if a part FAILED.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import hardware
from torch import nn

import seewhy
from seewhy.core.errors import RunError
from seewhy.core.seeding import rng
from seewhy.spec import build_request
from seewhy.training import loop, state
from seewhy.training.build import make_job, prepare
from seewhy.training.job import Job, Progress

TINY = {"width": 16, "depth": 1}
FAMILIES: dict[str, dict[str, Any]] = {
    "mlp": {},
    "convnet": {},
    "resnet": {},
    "timm": {"model.backbone": "resnet18", "model.weights": "none", "model.input_size": 32},
    "autoencoder": {},
    "vae": {"model.conditional": True},
    "gan": {},
    "pixelcnn": {},
    "gated_pixelcnn": {},
    "row_lstm": {},
    "diagonal_bilstm": {},
}
GENERATORS = ("vae", "gan", "pixelcnn", "gated_pixelcnn", "row_lstm", "diagonal_bilstm")


class NotHereError(Exception):
    """A part that cannot be seen on this machine; says why."""


class Bench:
    """The parts, on a device."""

    def __init__(self, device: str, quick: bool, data: str | None, place: Path) -> None:
        self.device, self.quick, self.data, self.place = device, quick, data, place
        self.cuda = device == "cuda"

    def options(self, model: str) -> dict[str, Any]:
        """Return the options of a training on the digits."""
        small = TINY if self.quick and model not in ("timm", "convnet", "resnet") else {}
        small = {"width": 8} if self.quick and model in ("convnet", "resnet") else small
        chosen = {"model": model, "train.device": self.device, "precision": "bf16", "epochs": 1.0, "batch_size": 256}
        return {**chosen, **small, **FAMILIES[model]}

    def memory(self) -> str:
        """Return the peak of the device's memory since it was last asked for."""
        if not self.cuda:
            return "memory is the processor's"
        peak = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return f"peak {peak:,.0f} MiB"

    @contextmanager
    def job(self, source: str, **options: Any) -> Iterator[Job]:
        """Prepare a training for taking steps of it one by one."""
        with state.training():
            prepared = prepare(build_request(source, None, options), lambda _: None)
            yield make_job(prepared, self.place, lambda _: None, None)

    def family(self, model: str) -> str:
        """Train, stop, resume and sample."""
        self.memory()
        options, start = {**self.options(model), "watch": False}, time.perf_counter()
        whole = seewhy.train("digits", out=self.place / model, **options)
        seconds = time.perf_counter() - start
        steps = iter(range(3))
        parts = self.place / f"{model}-parts"
        try:
            seewhy.train("digits", out=parts, stop=lambda: next(steps, None) == 2, **options)
        except RunError:  # it was stopped
            seewhy.resume(parts, watch=False)
        weights, others = whole.weights(), seewhy.Run(parts).weights()
        furthest = max(float((weights[name].double() - others[name].double()).abs().max()) for name in weights)
        finite = all(bool(torch.isfinite(value).all()) for value in weights.values() if value.is_floating_point())
        assert finite, "weights are not finite"
        assert furthest <= (1e-2 if self.cuda else 0.0), f"resumed weights differ by {furthest:g}"
        if model in GENERATORS:
            assert len(whole.sample(4)) == 4, "four samples were asked for"
        elif model != "autoencoder":
            assert whole.predict(torch.zeros(1, 8, 8, dtype=torch.uint8)).label is not None, "no prediction"
        same = "the same bits" if furthest == 0 else f"weights within {furthest:.1e}"
        return f"{seconds:5.1f} s, resumed to {same}, {self.memory()}"

    def waiting(self, model: str) -> str:
        """Take steps and count the moments at which the host waits."""
        if not self.cuda:
            raise NotHereError("only CUDA tells when the host waits")
        original = loop.summed

        def allowed(*arguments: Any) -> dict[str, float]:
            mode = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("default")
            try:
                return original(*arguments)
            finally:
                torch.cuda.set_sync_debug_mode(mode)

        loop.summed = allowed  # type: ignore[assignment]
        try:
            with self.job("digits", **self.options(model)) as job, warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                progress, batches = Progress(), job.batches(0, 0)
                loop._step(job, progress, next(batches), 0)  # tables and buffers are made
                torch.cuda.set_sync_debug_mode("warn")
                for _ in range(3):
                    loop._step(job, progress, next(batches), 0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
            loop.summed = original  # type: ignore[assignment]
        places = sorted({f"{Path(one.filename).name}:{one.lineno}" for one in seen if "synchroniz" in str(one.message)})
        assert not places, f"the host waits at {', '.join(places)}"
        return "the host waits for nothing but the metrics"

    def where(self) -> str:
        """Look where batches and convolutions are."""
        with self.job("digits", **self.options("convnet")) as job:
            images = next(job.batches(0, 0)).images
            device = next(job.model.parameters()).device.type
            convolutions = [module for module in job.model.modules() if isinstance(module, nn.Conv2d)]
            last = torch.channels_last
            assert all(module.weight.is_contiguous(memory_format=last) for module in convolutions), "channels first"
        assert device == self.device, f"the network is on {device}"
        assert images.device.type == self.device, f"batches are on {images.device.type}"
        return f"batches, augmentation and network on {device}, channels last"

    def accuracy(self) -> str:
        """Train by defaults."""
        source = self.data or os.path.join(os.environ.get("SEEWHY_DATA", ""), "cifar10-jpeg.tar.gz")
        if self.quick:
            source = "digits"
        elif not os.path.exists(source):
            raise NotHereError(f"there is no {source}; name the data by --data")
        self.memory()
        seewhy.train(
            source, out=self.place / "first", epochs=0.05, **{"train.device": self.device}
        )  # decodes, warms up
        start = time.perf_counter()
        run = seewhy.train(source, out=self.place / "defaults", **{"train.device": self.device}, **self.shortened())
        seconds, rows = time.perf_counter() - start, run.metrics
        found = run.results["test"]["accuracy"]
        return f"{Path(source).name}: {found:.2%} in {seconds:.1f} s, of which training {rows[-1]['seconds']:.1f} s, {self.memory()}"

    def shortened(self) -> dict[str, Any]:
        """Return what makes the defaults quick."""
        return {"epochs": 1.0} if self.quick else {}

    def compiled(self) -> str:
        """Time the forward and backward passes of the default convnet on random images, eager and compiled."""
        with self.job("digits", **self.options("convnet")) as job:
            side, count = (8, 32) if self.quick else (32, 512)
            model = seewhy.models.build_classifier("convnet", in_shape=(3, side, side), classes=10, rng=rng(0)).to(
                self.device
            )
            model = model.to(memory_format=torch.channels_last)
            images = torch.rand(count, 3, side, side, device=self.device).contiguous(memory_format=torch.channels_last)

            def step(network: Callable[[torch.Tensor], torch.Tensor]) -> None:
                with job.engine.autocast():
                    network(images).float().square().mean().backward()
                model.zero_grad(set_to_none=True)

            eager = self.milliseconds(partial(step, model))
            try:
                fast = self.milliseconds(partial(step, torch.compile(model)))
            except Exception as error:
                raise NotHereError(f"torch.compile: {type(error).__name__}; eager {eager:.2f} ms") from error
        return f"{count} images of {side} px: eager {eager:.2f} ms, compiled {fast:.2f} ms"

    def milliseconds(self, work: Callable[[], None]) -> float:
        """Return the least of some timings, with the device done."""
        best = float("inf")
        for _ in range(4 if self.quick else 20):
            start = time.perf_counter()
            work()
            if self.cuda:
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - start)
        return 1e3 * best

    def processes(self) -> str:
        """Train with two processes under torchrun."""
        if self.cuda and torch.cuda.device_count() < 2:
            raise NotHereError("one device, which NCCL does not let two processes share")
        folder, start = self.place / "two", time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "seewhy",
        ]
        options = ["--model", "mlp", "--epochs", "1", "--train.device", self.device, "--out", str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, "train", "digits", *options], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr[-500:]
        accuracy = seewhy.Run(folder).results["test"]["accuracy"]
        return f"{time.perf_counter() - start:.1f} s, accuracy {accuracy:.1%}"

    def parts(self) -> dict[str, Callable[[], str]]:
        """Return all parts by name; those of several models have the model behind a colon."""
        return {
            **{f"families:{model}": partial(self.family, model) for model in FAMILIES},
            **{f"waiting:{model}": partial(self.waiting, model) for model in FAMILIES},
            "place": self.where,
            "accuracy": self.accuracy,
            "compile": self.compiled,
            "processes": self.processes,
        }


def main() -> int:
    """Run the parts and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks and short trainings")
    parser.add_argument("--data", help="a folder or archive of CIFAR-10")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="such as families waiting:vae")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing was measured; --device cpu --quick tries the script itself")
        return 0
    name = torch.cuda.get_device_name() if options.device == "cuda" else "processor only"
    print(f"{name}; {hardware()}", flush=True)
    failed, start = 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        parts = Bench(options.device, options.quick, options.data, Path(place)).parts()
        for part, run in parts.items():
            if options.only and part not in options.only and part.split(":")[0] not in options.only:
                continue
            try:
                line = f"{run()}  ok"
            except NotHereError as reason:
                line = f"{reason}  skipped"
            except Exception as error:  # noqa: BLE001  the other parts are worth seeing all the same
                line, failed = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}  FAILED", failed + 1
            print(f"{part:24} {line}", flush=True)
    print(f"{failed} failed, {time.perf_counter() - start:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
