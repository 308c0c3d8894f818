"""Sampling images with a cache of what was computed, beside computing the whole image for every value.

    python benchmarks/sampling.py [--images 64] [--side 28] [--repeats 5] [--uncached 12] [--threads 2] [--processor-time]

Both ways sample binary images from networks of random weights, without gradients, in one process. The uncached way takes one call of the
whole network for each of the image's values. Its time is measured on `--uncached` calls, in turns with whole samplings of the cached way,
and multiplied out: in float32, in which the cached way computes, and under bfloat16 autocast, in which it is fastest. That both ways sample
the same is checked on two images of 6 x 6 from networks of the same kind.

`--processor-time` counts this process's own time, for machines that do other work meanwhile; with one thread only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from machine import hardware

from seewhy.models.autoregressive import sample_raster
from seewhy.models.autoregressive.networks import GatedPixelCNN, PixelCNN
from seewhy.models.autoregressive.raster import Autoregressive


def seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


Network = type[PixelCNN] | type[GatedPixelCNN]


def same(build: Network) -> bool:
    """Return whether both ways sample the same two small images."""
    net, blank = build((1, 6, 6), 2).eval(), torch.zeros(2, 1, 6, 6, dtype=torch.int64)
    both = [sample_raster(net, blank, rng=torch.Generator().manual_seed(0), cached=cached) for cached in (True, False)]
    return torch.equal(*both)


def compared(net: Autoregressive, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the times of whole samplings, and those of single calls times the values of an image."""
    clock = time.process_time if options.processor_time else time.perf_counter
    blank = torch.zeros(options.images, *net.shape, dtype=torch.int64)
    times: dict[str, list[float]] = {"cached": [], "uncached float32": [], "uncached bfloat16": []}

    @torch.inference_mode()
    def call(name: str) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bfloat16")):
            return seconds(lambda: net(blank), clock) * options.side**2

    for name in list(times)[1:]:
        call(name)
    for turn in range(options.repeats):
        times["cached"].append(seconds(lambda: sample_raster(net, blank), clock))
        for name in list(times)[1:]:
            times[name] += [call(name) for _ in range(turn, options.uncached, options.repeats)]
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--uncached", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true")
    options = parser.parse_args()
    if options.processor_time and options.threads > 1:
        parser.error("--processor-time: threads that wait would count too; add --threads 1")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(hardware())
    print(
        f"{options.images} binary images of {options.side} x {options.side}, 7 blocks or layers of 32 units; seconds",
        end="",
    )
    print(" of processor time" if options.processor_time else "", "; median [least, most]", sep="")
    builds: dict[str, Network] = {"pixelcnn": PixelCNN, "gated_pixelcnn": GatedPixelCNN}
    for name, build in builds.items():
        times = compared(build((1, options.side, options.side), 2, width=32, depth=7).eval(), options)
        cached = statistics.median(times["cached"])
        print(f"\n{name}: {'the same images both ways' if same(build) else 'DIFFERENT IMAGES'}")
        for way, seconds_each in times.items():
            middle = statistics.median(seconds_each)
            line = f"{way:17} {middle:9.3f} [{min(seconds_each):.3f}, {max(seconds_each):.3f}]"
            if way == "cached":
                print(f"  {line}  n = {len(seconds_each)}; {1e6 * cached / options.side**2:.0f} us per pixel")
            else:
                print(
                    f"  {line}  n = {len(seconds_each)} of {options.side**2} calls; {middle / cached:.0f} times as long"
                )


if __name__ == "__main__":
    main()
