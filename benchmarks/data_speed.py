"""How fast images come: building the cache, batches from the second epoch on, and memory.

    python benchmarks/data_speed.py [FOLDER] [--repeats 5]

FOLDER holds train/ and test/ with class folders of equal, small images; default: cifar10-jpeg, unpacked from
SEEWHY_DATA/cifar10-jpeg.tar.gz to a temporary folder. Rates are images per second, the median of the repeats with the lowest and the
highest; nothing else should run on the machine.

1. Decoding: what `load_dataset` adds on the first start (files read, decoded, hashed, summed, written), against libjpeg-turbo alone on the same
   bytes in memory with the same number of threads, once through torchvision.io.decode_jpeg and once through simplejpeg.
2. Batches: gather and augment (random crop with 4 reflected pixels, random flip) against torchvision's ImageFolder and DataLoader with the
   same augmentations, 0 and 2 workers.
3. Memory: resident and proportional size of the process while it walks through all images once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import hardware

from seewhy.data import Augment, Split, batches, list_images, load_dataset
from seewhy.data.cache import cached
from seewhy.data.reading import read_bytes
from seewhy.data.threads import in_threads

BATCH = 512
Row = tuple[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="seewhy-speed-") as scratch:
        place = Path(scratch)
        folder = options.folder or unpack(place)
        print(f"{folder.name}: {len(list_images(folder).names):,} images; n = {options.repeats}; {hardware()}\n")
        show("Decoding, images/s", decoding(folder, place, options.repeats, options.threads))
        show("Batches, images/s", loading(folder, place, options.repeats))
        memory(folder, place)


def unpack(place: Path) -> Path:
    home = os.environ.get("SEEWHY_DATA")
    archive = Path(home or ".") / "cifar10-jpeg.tar.gz"
    if not archive.is_file():
        sys.exit("name a folder, or set SEEWHY_DATA to one that holds cifar10-jpeg.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(place, filter="data")
    return place / "cifar10-jpeg"


def rate(count: int, repeats: int, work: Callable[[], object]) -> list[float]:
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - start))
    return rates


def show(title: str, rows: list[Row]) -> None:
    base = statistics.median(rows[0][1])
    print(f"{title:<62}{'median':>10}{'lowest':>10}{'highest':>10}   first row is")
    for name, rates in rows:
        middle = statistics.median(rates)
        print(f"{name:<62}{middle:>10,.0f}{min(rates):>10,.0f}{max(rates):>10,.0f}{base / middle:>10.2f} x")
    print()


def decoding(folder: Path, place: Path, repeats: int, threads: int) -> list[Row]:
    """Interleave the contestants, so that a drift of the machine meets all of them."""
    import simplejpeg
    from torchvision.io import decode_jpeg

    catalog = list_images(folder)
    encoded = [read_bytes(f"{catalog.root}/{path}") for path in catalog.paths]
    tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in encoded]
    count = len(encoded)
    chunks = [slice(start, start + 256) for start in range(0, count, 256)]

    def by_torchvision() -> None:
        list(in_threads(lambda rows: [decode_jpeg(data) for data in tensors[rows]] and None, chunks, threads))

    def by_simplejpeg() -> None:
        list(
            in_threads(lambda rows: [simplejpeg.decode_jpeg(data) for data in encoded[rows]] and None, chunks, threads)
        )

    def first_start() -> None:
        shutil.rmtree(place / "cold", ignore_errors=True)
        load_dataset(folder, cache_dir=place / "cold")

    def second_start() -> None:
        load_dataset(folder, cache_dir=place / "warm")

    def build() -> None:
        shutil.rmtree(place / "cold", ignore_errors=True)
        cached(catalog, (32, 32, 3), keep="pixels", cache_dir=place / "cold", progress=None)

    second_start()
    contestants = {
        "cache build: read, hash, decode, measure, write": build,
        "torchvision.io.decode_jpeg on bytes in memory": by_torchvision,
        "simplejpeg.decode_jpeg on bytes in memory": by_simplejpeg,
        "first start of `load_dataset`, listing, audit and split included": first_start,
        "second start of `load_dataset`": second_start,
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, work in contestants.items():
            rates[name] += rate(count, 1, work)
    return list(rates.items())


def loading(folder: Path, place: Path, repeats: int) -> list[Row]:
    data = load_dataset(folder, cache_dir=place / "warm")
    augment = Augment(crop_padding=4, flip="random")
    epochs = iter(range(10**6))

    def ours(change: Augment | None) -> None:
        for batch in batches(data.train, batch_size=BATCH, seed=0, epoch=next(epochs), augment=change):
            assert batch.images.dtype == torch.uint8

    rows = [
        ("gather + augment", rate(len(data.train), repeats, lambda: ours(augment))),
        ("gather alone", rate(len(data.train), repeats, lambda: ours(None))),
    ]
    return rows + [theirs(folder, workers, repeats) for workers in (0, 2)]


def theirs(folder: Path, workers: int, repeats: int) -> Row:
    """The usual idiom; the float conversion that it cannot do without comes after the augmentation, as in its own examples."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    train = folder / "train" if (folder / "train").is_dir() else folder
    steps = [
        transforms.RandomCrop(32, 4, padding_mode="reflect"),
        transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
    ]
    loader = DataLoader(
        ImageFolder(str(train), transforms.Compose(steps)),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )

    def epoch() -> int:
        return sum(len(images) for images, _ in loader)

    count = epoch()
    return f"ImageFolder + DataLoader, {workers} workers", rate(count, max(1, min(repeats, 3)), epoch)


def memory(folder: Path, place: Path) -> None:
    """Print how the process grows over one walk; mapped pages count as resident, but can be dropped at any time."""
    data = load_dataset(folder, cache_dir=place / "warm")
    print("Memory in MB            before     25%     50%     75%    100%   after a second walk")
    for title, fields in (("resident, own pages", ("RssAnon",)), ("resident, with the map", ("RssAnon", "RssFile"))):
        marks = [megabytes(*fields)]
        for epoch in range(2):
            steps = list(batches_in_quarters(data.train, epoch))
            for step in steps:
                step()
                if epoch == 0:
                    marks.append(megabytes(*fields))
        marks.append(megabytes(*fields))
        print(f"{title:<22}" + "".join(f"{mark:>8.0f}" for mark in marks))


def batches_in_quarters(split: Split, epoch: int) -> list[Callable[[], None]]:
    walk = batches(split, batch_size=BATCH, seed=0, epoch=epoch, augment=Augment(crop_padding=4, flip="random"))
    count = -(-len(split) // BATCH)

    def quarter(n: int) -> Callable[[], None]:
        return lambda: [next(walk, None) for _ in range(n)] and None

    return [quarter(count * (i + 1) // 4 - count * i // 4) for i in range(4)]


def megabytes(*fields: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in fields) / 1024


if __name__ == "__main__":
    main()
