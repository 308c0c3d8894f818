"""Train every generative model on the embedded digits, and put their samples on one sheet: docs/generators.png.

    python benchmarks/contact_sheet.py                       about two minutes for each model
    python benchmarks/contact_sheet.py --minutes 0.5 --out sheet.png

A row of 20 images for each model, all from seed 0, and a row of real ones above.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from machine import hardware
from PIL import Image, ImageDraw, ImageFont

import seewhy
from seewhy.data import load_dataset
from seewhy.data.image_files import to_pixels
from seewhy.reporting import image_grid
from seewhy.spec import answering

COLUMNS, FACTOR, LABEL = 20, 4, 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.5, help="training time of each")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "generators.png")
    options = parser.parse_args()
    print(hardware())
    digits = load_dataset("digits").train
    rows = [("real digits", digits.images(torch.arange(COLUMNS)))]
    with tempfile.TemporaryDirectory() as scratch:
        for name in answering("sample"):
            run = seewhy.train("digits", model=name, minutes=options.minutes, out=Path(scratch) / name)
            rows.append((name, run.sample(COLUMNS)))
            nats = run.results.get("test", {}).get("nats")
            print(f"{name}: {run.metrics[-1]['seconds']:.0f} s" + (f", {nats:.1f} nats" if nats else ""), flush=True)
    strips = [Image.fromarray(image_grid(to_pixels(images), columns=COLUMNS)[..., 0]) for _, images in rows]
    strips = [strip.resize((strip.width * FACTOR, strip.height * FACTOR), Image.Resampling.NEAREST) for strip in strips]
    height = strips[0].height + 8
    sheet = Image.new("L", (LABEL + strips[0].width, height * len(strips)), 255)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for position, ((name, _), strip) in enumerate(zip(rows, strips, strict=True)):
        pen.text((6, position * height + height // 2), name, 0, font, anchor="lm")
        sheet.paste(strip, (LABEL, position * height + 4))
    sheet.save(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
