"""Images per second of prediction: decoding alone, the network alone, both together, and an exported ONNX file.

    python benchmarks/predict_speed.py RUN IMAGES [--count 10000] [--rounds 3]

IMAGES is a folder. All are measured in turns in one process, and the best of the rounds counts. The share is that of the whole in the slower of
decoding and network. ONNX (where the extra is installed) predicts image by image, with decoding at full size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import processor

from seewhy import Run
from seewhy.data import decode_many, find_images

CHUNK = 512


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


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

    def decode() -> list[torch.Tensor]:
        channels, side, _ = run.facts.shape
        return [decode_many(chunk, resolution=side, channels=channels, rule=run.rule)[0] for chunk in chunks]

    pixels = decode()
    parts: dict[str, Callable[[], object]] = {
        "decoding": decode,
        "network": lambda: [run.probabilities(chunk) for chunk in pixels],
        "predict": lambda: sum(1 for _ in run.predict_each(paths)),
    }
    with tempfile.TemporaryDirectory() as place:
        try:
            from seewhy.export.onnx_model import OnnxModel

            model = OnnxModel(run.export("onnx", Path(place) / "model.onnx").file)
            parts["onnx"] = lambda: sum(1 for _ in model.predict_each(paths))
        except ValueError as error:
            print(f"without ONNX: {error}")
        best = dict.fromkeys(parts, float("inf"))
        for _ in range(options.rounds):
            for name, work in parts.items():
                best[name] = min(best[name], timed(work))
    print(f"{len(paths):,} images on {processor()}, {torch.get_num_threads()} threads, best of {options.rounds}")
    for name, seconds in best.items():
        print(f"{name:9} {len(paths) / seconds:9,.0f} images/s")
    print(f"share     {max(best['decoding'], best['network']) / best['predict']:9.1%}")


if __name__ == "__main__":
    main()
