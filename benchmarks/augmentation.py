"""How fast whole batches are augmented, beside the obvious spellings and the speed of memory.

    python benchmarks/augmentation.py [--repeats 15] [--threads 1] [--clock wall]

For batches of 500 images of 32 px and of 64 images of 128 px (uint8, random pixels): `Augment`, and the same change spelt

- image by image: torchvision.transforms.v2.functional, one call for each image and change;
- whole batch: the best plain PyTorch we know for the batch at once (`crop_by_gather`, `crop_by_groups`, `jitter`), with images in the memory
  format that suits it.

The others are given their random numbers, `Augment` makes its own. Before timing, all results are checked against each other. The contestants
take turns, so that a drift of the machine meets all of them. "Of the limit" is the time in which memory could copy the batch once, at the
bandwidth measured on copies of 64 MB, over the time of `Augment`. `--clock cpu` counts the processor time of one thread, for a machine that
others use too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from machine import hardware
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V
from torchvision.transforms.v2.functional import _color as torchvision_color

from seewhy.core.seeding import uniform
from seewhy.data import Augment, Cutout, Mix, RandomErasing, ResizedCrop

Call = Callable[[], Tensor]
SEED, EPOCH = 0, 1
PADDING = 4
SCALES = ("brightness", "contrast", "saturation")


class Case:
    """One batch, the random numbers of one epoch, and every spelling of the changes."""

    def __init__(self, count: int, side: int) -> None:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=source)
        self.planar, self.images = images, images.contiguous(memory_format=torch.channels_last)
        self.sample_ids = torch.randperm(10 * count, generator=source)[:count]
        self.labels = self.sample_ids % 10
        self.side = side
        self.top, self.left = ((self.uniform(axis) * (2 * PADDING + 1)).long() for axis in ("crop top", "crop left"))
        self.flipped = self.uniform("flip") < 0.5
        self.factors = {name: 0.6 + 0.8 * self.uniform(name) for name in SCALES}
        self.turns = (2 * self.uniform("hue") - 1) * 0.1
        self.boxes = ResizedCrop().boxes(self.sample_ids, (side, side), seed=SEED, epoch=EPOCH)

    def uniform(self, purpose: str) -> Tensor:
        """Return the random numbers of `Augment`."""
        return uniform(self.sample_ids, SEED, purpose, EPOCH)

    def ours(self, **options: object) -> Call:
        """Return the call of `Augment`."""
        augment = Augment(**options)
        return lambda: augment(self.images, self.sample_ids, seed=SEED, epoch=EPOCH)

    def crop_one_by_one(self, *, flip: bool) -> Tensor:
        """Flip, pad and cut each image."""
        results = []
        changes = zip(self.planar, self.top.tolist(), self.left.tolist(), self.flipped.tolist(), strict=True)
        for image, top, left, flipped in changes:
            if flip and flipped:
                image = V.horizontal_flip(image)
            results.append(V.crop(V.pad(image, [PADDING] * 4, padding_mode="reflect"), top, left, self.side, self.side))
        return torch.stack(results)

    def padded(self, *, flip: bool) -> Tensor:
        """Flip and pad the batch; reflection wants floating point."""
        images = self.planar
        if flip:
            images = torch.where(self.flipped[:, None, None, None], images.flip(3), images)
        return F.pad(images.float(), (PADDING,) * 4, mode="reflect").to(torch.uint8)

    def crop_by_gather(self, *, flip: bool) -> Tensor:
        """Cut the padded batch with one advanced index."""
        padded, positions = self.padded(flip=flip), torch.arange(self.side)
        rows = (self.top[:, None] + positions)[:, :, None]
        columns = (self.left[:, None] + positions)[:, None, :]
        return padded[torch.arange(len(padded))[:, None, None], :, rows, columns].permute(0, 3, 1, 2)

    def crop_by_groups(self, *, flip: bool) -> Tensor:
        """Cut the padded batch by slices, the images of one shift together: first the rows, then the columns."""
        padded, side = self.padded(flip=flip), self.side
        rows = torch.empty(len(padded), 3, side, side + 2 * PADDING, dtype=torch.uint8)
        for shift in range(2 * PADDING + 1):
            selected = self.top == shift
            rows[selected] = padded[selected, :, shift : shift + side]
        result = torch.empty_like(self.planar)
        for shift in range(2 * PADDING + 1):
            selected = self.left == shift
            result[selected] = rows[selected, :, :, shift : shift + side]
        return result

    def jitter_one_by_one(self, *, hue: bool) -> Tensor:
        """Recolour each image."""
        results = []
        factors = [self.factors[name].tolist() for name in SCALES]
        for image, *scales, turn in zip(self.planar, *factors, self.turns.tolist(), strict=True):
            for name, factor in zip(SCALES, scales, strict=True):
                image = getattr(V, f"adjust_{name}")(image, factor)
            results.append(V.adjust_hue(image, turn) if hue else image)
        return torch.stack(results)

    def jitter(self, *, hue: bool) -> Tensor:
        """Recolour the batch: torchvision's own arithmetic with a tensor of factors."""
        images = self.planar
        brightness, contrast, saturation = (self.factors[name].view(-1, 1, 1, 1) for name in SCALES)
        images = images.mul(brightness).clamp_(0, 255).to(torch.uint8)
        grey = V.rgb_to_grayscale(images.float()).floor_().mean(dim=(1, 2, 3), keepdim=True)
        images = images.mul(contrast).add_(grey * (1 - contrast)).clamp_(0, 255).to(torch.uint8)
        grey = V.rgb_to_grayscale(images.float()).floor_()
        images = images.mul(saturation).add_(grey * (1 - saturation)).clamp_(0, 255).to(torch.uint8)
        if not hue:
            return images
        h, s, v = torchvision_color._rgb_to_hsv(V.to_dtype(images, torch.float32, scale=True)).unbind(1)
        turned = torch.stack([h.add_(self.turns.view(-1, 1, 1)).remainder_(1.0), s, v], dim=1)
        return V.to_dtype(torchvision_color._hsv_to_rgb(turned), torch.uint8, scale=True)

    def resize_one_by_one(self) -> Tensor:
        """Cut and resize each image."""
        bounds = zip(*(side.tolist() for side in vars(self.boxes).values()), strict=True)
        pairs = zip(self.images, bounds, strict=True)
        return torch.stack([V.resized_crop(image, *bound, [self.side, self.side]) for image, bound in pairs])

    def rows(self) -> dict[str, dict[str, Call]]:
        """Return the changes, each with its spellings, the first ours."""
        rows: dict[str, dict[str, Call]] = {}
        for name, flip in (("padded crop", False), ("padded crop and flip", True)):
            rows[name] = {
                "Augment": self.ours(crop_padding=PADDING, flip="random" if flip else "none"),
                "whole batch, gather": lambda flip=flip: self.crop_by_gather(flip=flip),
                "whole batch, groups": lambda flip=flip: self.crop_by_groups(flip=flip),
                "image by image": lambda flip=flip: self.crop_one_by_one(flip=flip),
            }
        scales = dict.fromkeys(SCALES, 0.4)
        for name, hue in (("jitter without hue", False), ("jitter", True)):
            rows[name] = {
                "Augment": self.ours(**scales, hue=0.1 * hue),
                "whole batch": lambda hue=hue: self.jitter(hue=hue),
                "image by image": lambda hue=hue: self.jitter_one_by_one(hue=hue),
            }
        rows["resized crop"] = {
            "Augment": self.ours(resized_crop=ResizedCrop()),
            "image by image": self.resize_one_by_one,
        }
        mix, cutmix = Mix(), Mix(kind="cutmix")
        for name, call in {
            "flip": self.ours(flip="random"),
            "brightness": self.ours(brightness=0.4),
            "contrast": self.ours(contrast=0.4),
            "saturation": self.ours(saturation=0.4),
            "hue": self.ours(hue=0.1),
            "cutout": self.ours(erase=Cutout(size=self.side // 4)),
            "random erasing, noise": self.ours(erase=RandomErasing()),
            "mixup": lambda: mix(self.images, self.labels, self.sample_ids, seed=SEED, epoch=EPOCH).images,
            "cutmix": lambda: cutmix(self.images, self.labels, self.sample_ids, seed=SEED, epoch=EPOCH).images,
        }.items():
            rows[name] = {"Mix" if name in ("mixup", "cutmix") else "Augment": call}
        return rows


def check(name: str, calls: dict[str, Call]) -> None:
    """Assert that all spellings agree: within a level, but for one value in a hundred where changes follow each other."""
    first, *others = (call().int() for call in calls.values())
    for other in others:
        difference = (first - other).abs()
        assert (difference > 1).float().mean() < (0.01 if "jitter" in name else 1e-9), name


def timed(calls: dict[str, Call], repeats: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Return each call's times in milliseconds, the calls taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(1e3 * (clock() - start))
    return times


def bandwidth(repeats: int, clock: Callable[[], float]) -> float:
    """Return bytes read and written a second by copies of 64 MB: the fastest."""
    source = torch.zeros(1 << 26, dtype=torch.uint8)
    target = torch.empty_like(source)
    times = timed({"copy": lambda: target.copy_(source)}, repeats + 1, clock)["copy"]
    return 2 * len(source) / min(times[1:]) * 1e3


def show(case: Case, repeats: int, clock: Callable[[], float], speed: float) -> None:
    count = len(case.images)
    least = 2e3 * case.images.numel() / speed
    print(f"\n{count} images of {case.side} px: one copy takes {least:.3f} ms")
    print(f"{'':<46}{'median ms':>10}{'quartiles':>19}{'images/s':>12}{'times ours':>12}{'of the limit':>14}")
    for name, calls in case.rows().items():
        check(name, calls)
        times = timed(calls, repeats, clock)
        ours = statistics.median(next(iter(times.values())))
        for spelling, milliseconds in times.items():
            low, middle, high = statistics.quantiles(milliseconds, n=4)
            first = spelling == next(iter(times))
            print(
                f"{name if first else '':<24}{spelling:<22}{middle:>10.2f}{low:>10.2f} -{high:>7.2f}"
                f"{1e3 * count / middle:>12,.0f}{middle / ours:>12.1f}" + (f"{least / middle:>14.0%}" if first else "")
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.thread_time
    speed = bandwidth(options.repeats, clock)
    print(f"n = {options.repeats}, {options.clock} clock; {hardware()}; copies at {speed / 1e9:.1f} GB/s")
    for count, side in ((500, 32), (64, 128)):
        show(Case(count, side), options.repeats, clock, speed)


if __name__ == "__main__":
    main()
