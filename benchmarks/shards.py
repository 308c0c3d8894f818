"""Tar shards without a cache: how fast they are listed, read and decoded, and that memory stays flat.

    python benchmarks/shards.py FOLDER [--images 5000] [--side 256] [--epochs 3]

The first images of a folder of images are written as five shards of JPEGs of one side. Resident memory is that of the process after each epoch.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from machine import hardware
from PIL import Image

from seewhy.data import DecodeOptions, SplitOptions, batches, list_images, load_dataset

SHARDS = 5


def write(path: Path, samples: Iterable[tuple[str, bytes, bytes]]) -> None:
    """Write samples (name, image, label) as a shard."""
    with tarfile.open(path, "w") as tar:
        for name, image, label in samples:
            for ending, data in (("jpg", image), ("txt", label)):
                entry = tarfile.TarInfo(f"{name}.{ending}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def enlarged(path: Path, side: int) -> bytes:
    """Return an image at another size, as JPEG."""
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def resident() -> int:
    """Return the memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def main() -> None:
    """Write the shards, and print what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(options.folder.rglob("*.jpg"))
    files = files[:: max(1, len(files) // options.images)][: options.images]
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "shards"
        home.mkdir()
        for shard in range(SHARDS):
            own = files[shard::SHARDS]
            samples = (
                (f"{i:06}", enlarged(file, options.side), file.parent.name.encode()) for i, file in enumerate(own)
            )
            write(home / f"x-{shard}.tar", samples)
        begun = time.process_time()
        count = len(list_images(home).names)
        listed = time.process_time() - begun
        print(f"{hardware()}\nlisted {count:,} samples in {listed:.2f} s ({count / listed:,.0f} a second)")
        before = resident()
        decode = DecodeOptions(cache="none", resolution=options.side)
        whole = SplitOptions(val_fraction=0, test_fraction=0)
        data = load_dataset(home, decode=decode, split=whole, cache_dir=Path(scratch) / "cache")
        pixels = count * 3 * options.side**2 >> 20
        print(f"resident {before} MiB before, {resident()} after the first look; the pixels would be {pixels:,} MiB")
        for epoch in range(options.epochs):
            begun = time.process_time()
            for _ in batches(data.train, batch_size=64, seed=0, epoch=epoch):
                pass
            spent = time.process_time() - begun
            print(
                f"epoch {epoch + 1}: resident {resident()} MiB; {count / spent:,.0f} images a second of processor time"
            )


if __name__ == "__main__":
    main()
