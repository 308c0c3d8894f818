"""Images per second of prediction: decoding alone, the network alone, both together, and an exported ONNX file.

    python benchmarks/predict_speed.py RUN IMAGES [--count 10000] [--rounds 3]

IMAGES is a folder. All are measured in turns in one process, and the best of the rounds counts: by the clock, and in seconds of the processor,
which other programs disturb less. Two shares are printed. Of the slower of decoding and network: what a pipeline reaches where the two do not
need the same processors, as on a GPU. Of both one after the other: alone each has all processors, so that on a CPU no prediction can take less
than the sum of their seconds of the processor. Memory is the growth of the peak from the first tenth of the images to all of them. ONNX (where
the extra is installed) decodes at full size and resizes in its graph; it is given a tenth of the images.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import hardware

from seewhy import Run
from seewhy.data import decode_many, find_images

CHUNK = 512


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock, and of the processor."""
    start, before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - before


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Run)
    parser.add_argument("images")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    run, paths = options.run, list(find_images([options.images]))[: options.count]
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]

    def predict(some: list[str]) -> int:
        return sum(1 for _ in run.predict_each(path for path in some))

    predict(paths[: len(paths) // 10])
    memory = peak()
    predict(paths)
    memory = peak() - memory

    def decode(chunk: list[str]) -> torch.Tensor:
        channels, side, _ = run.facts.shape
        return decode_many(chunk, resolution=side, channels=channels, rule=run.rule)[0]

    pixels = [decode(chunk) for chunk in chunks]
    some = paths[: max(1, len(paths) // 10)]
    parts: dict[str, Callable[[], object]] = {
        "decoding": lambda: [decode(chunk) for chunk in chunks],
        "network": lambda: [run.probabilities(chunk) for chunk in pixels],
        "predict": lambda: predict(paths),
    }
    with tempfile.TemporaryDirectory() as place:
        try:
            from seewhy.export.onnx_model import OnnxModel

            model = OnnxModel(run.export("onnx", Path(place) / "model.onnx").file)
            parts["onnx"] = lambda: sum(1 for _ in model.predict_each(some))
        except ValueError as error:
            print(f"without ONNX: {error}")
        rounds = [{name: timed(work) for name, work in parts.items()} for _ in range(options.rounds)]
    best = {name: tuple(min(each[name][kind] for each in rounds) for kind in (0, 1)) for name in parts}
    print(f"{len(paths):,} images, best of {options.rounds}; {hardware()}")
    for name, (seconds, processor) in best.items():
        count = len(some) if name == "onnx" else len(paths)
        print(f"{name:9} {count / seconds:9,.0f} images/s, {1e3 * processor / count:8.2f} ms of the processor an image")
    clock, busy = ({name: each[kind] for name, each in best.items()} for kind in (0, 1))
    print(f"of the slower of decoding and network   {max(clock['decoding'], clock['network']) / clock['predict']:7.1%}")
    print(f"of both one after the other             {(clock['decoding'] + clock['network']) / clock['predict']:7.1%}")
    print(f"the same in seconds of the processor    {(busy['decoding'] + busy['network']) / busy['predict']:7.1%}")
    print(f"memory from a tenth to all              {memory:+7.0f} MiB")


if __name__ == "__main__":
    main()
