"""Drawing images with what was computed kept, beside computing the whole image for every value.

    python benchmarks/sampling.py [--images 64] [--side 28] [--repeats 5] [--plain 12] [--threads 2] [--processor-time]

Both ways draw binary images from networks of random weights, without gradients, in one process. The plain way takes one call of the whole
network for each of the image's values. Its time is measured on `--plain` calls, in turns with whole drawings of the cached way, and multiplied
out: in float32, in which the cached way computes, and under bfloat16 autocast, in which it is fastest. That both ways draw the same is checked
on two images of 6 x 6 from networks of the same kind.

`--processor-time` counts this process's own time, for machines that do other work meanwhile; with one thread only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from machine import hardware

from seewhy.models.autoregressive.gated import GatedPixelCNN
from seewhy.models.autoregressive.pixelcnn import PixelCNN
from seewhy.models.autoregressive.raster import Autoregressive, draw


def seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


Network = type[PixelCNN] | type[GatedPixelCNN]


def same(build: Network) -> bool:
    """Say whether both ways draw the same two small images."""
    net, blank = build((1, 6, 6), 2).eval(), torch.zeros(2, 1, 6, 6, dtype=torch.int64)
    ways = [draw(net, blank, generator=torch.Generator().manual_seed(0), plain=plain) for plain in (False, True)]
    return torch.equal(*ways)


def compared(net: Autoregressive, given: argparse.Namespace) -> dict[str, list[float]]:
    """Return the times of whole drawings, and those of single calls times the values of an image."""
    clock = time.process_time if given.processor_time else time.perf_counter
    blank = torch.zeros(given.images, *net.shape, dtype=torch.int64)
    times: dict[str, list[float]] = {"cached": [], "plain float32": [], "plain bfloat16": []}

    @torch.inference_mode()
    def call(name: str) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bfloat16")):
            return seconds(lambda: net(blank), clock) * given.side**2

    for name in list(times)[1:]:
        call(name)
    for turn in range(given.repeats):
        times["cached"].append(seconds(lambda: draw(net, blank), clock))
        for name in list(times)[1:]:
            times[name] += [call(name) for _ in range(turn, given.plain, given.repeats)]
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plain", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true")
    given = parser.parse_args()
    if given.processor_time and given.threads > 1:
        parser.error("--processor-time: threads that wait would count too; add --threads 1")
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    print(hardware())
    print(
        f"{given.images} binary images of {given.side} x {given.side}, 7 blocks or layers of 32 units; seconds", end=""
    )
    print(" of processor time" if given.processor_time else "", "; median [least, most]", sep="")
    builds: dict[str, Network] = {"pixelcnn": PixelCNN, "gated": GatedPixelCNN}
    for name, build in builds.items():
        times = compared(build((1, given.side, given.side), 2, width=32, depth=7).eval(), given)
        drawn = statistics.median(times["cached"])
        print(f"\n{name}: {'the same images both ways' if same(build) else 'DIFFERENT IMAGES'}")
        for way, found in times.items():
            line = f"{way:15} {statistics.median(found):9.3f} [{min(found):.3f}, {max(found):.3f}]"
            if way == "cached":
                print(f"  {line}  n = {len(found)}; {1e6 * drawn / given.side**2:.0f} us a pixel")
            else:
                print(
                    f"  {line}  n = {len(found)} of {given.side**2} calls; {statistics.median(found) / drawn:.0f} times as long"
                )


if __name__ == "__main__":
    main()
