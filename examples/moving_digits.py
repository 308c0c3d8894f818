"""A gated PixelCNN over three axes learns clips: binarised digits that move, and goes on with a clip that has begun.

    python examples/moving_digits.py --out clips.png      about three minutes on two cores
    python examples/moving_digits.py --steps 20           a glance

The digits are those of scikit-learn, 8 x 8 pixels on a field of 12 x 12, each with a velocity of its own. Every tenth digit is not trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from learn import bits, frequency_bits, learn
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from seewhy.models.autoregressive import GatedPixelCNN, sample_raster
from seewhy.reporting import image_grid

FRAMES, SIDE = 4, 12


def clips(digits: Tensor, count: int) -> Tensor:
    """Return clips (count, 1, FRAMES, SIDE, SIDE) of digits (N, 8, 8) that move by -1, 0 or 1 pixels per frame in each direction."""
    moving = torch.zeros(count, 1, FRAMES, SIDE, SIDE, dtype=torch.int64)
    shown = torch.randint(len(digits), (count,)).tolist()
    for clip, digit in zip(moving, shown, strict=True):
        position, step = torch.randint(1, 4, (2,)), torch.randint(-1, 2, (2,))
        for frame in range(FRAMES):
            top, left = (position + frame * step).clamp(0, SIDE - 8).tolist()
            clip[0, frame, top : top + 8, left : left + 8] = digits[digit]
    return moving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="a .png file: one clip per row, the first two frames given")
    options = parser.parse_args()
    torch.manual_seed(0)
    digits = (torch.tensor(load_digits().images) > 7).long()
    held = torch.arange(len(digits)) % 10 == 0
    unseen = clips(digits[held], 100)

    net = GatedPixelCNN((1, FRAMES, SIDE, SIDE), 2, width=24, depth=6)
    learn(net, lambda: clips(digits[~held], 16), options.steps)
    net.eval()
    baseline = frequency_bits(clips(digits[~held], 500), unseen, 2)
    print(f"unseen clips: {bits(net, unseen):.4f} bits per pixel; from the share of white pixels alone {baseline:.4f}")
    if options.out is not None:
        given = torch.zeros(FRAMES, SIDE, SIDE, dtype=torch.bool)
        given[:2] = True
        sampled = sample_raster(net, unseen[:8], given, rng=torch.Generator().manual_seed(1))
        frames = (sampled * 255).to(torch.uint8).flatten(0, 2).numpy()
        Image.fromarray(image_grid(frames, columns=FRAMES)[..., 0]).save(options.out)
        print(f"8 clips, the first two frames given: {options.out}")


if __name__ == "__main__":
    main()
