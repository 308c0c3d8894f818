"""A gated PixelCNN over one axis learns a sound: plucked strings, 8 bits per sample by the mu-law.

    python examples/sound.py --out sound.wav      about three minutes on two cores
    python examples/sound.py --steps 20           a glance

The sound is made here (Karplus & Strong 1983), a scale of notes in random order. The last tenth is not trained on.
"""

from __future__ import annotations

import argparse
import math
import wave
from pathlib import Path

import torch
from learn import bits, frequency_bits, learn
from torch import Tensor

from seewhy.models.autoregressive import GatedPixelCNN, sample_raster

RATE, LENGTH, MU = 8000, 256, 255
SCALE = (262, 294, 330, 392, 440)
"""Hertz: five notes."""


def pluck(hertz: float, samples: int) -> Tensor:
    """Return a plucked string: a loop of noise that is averaged with its neighbour at each round."""
    loop = torch.rand(round(RATE / hertz)) * 2 - 1
    rounds = []
    for _ in range(-(-samples // len(loop))):
        rounds.append(loop)
        loop = 0.996 * (loop + loop.roll(1)) / 2
    return torch.cat(rounds)[:samples]


def to_levels(sound: Tensor) -> Tensor:
    """Return the mu-law's level, 0 ... 255, of a sound within +-1: sign(x) log(1 + mu |x|) / log(1 + mu)."""
    bent = sound.sign() * torch.log1p(MU * sound.abs()) / math.log1p(MU)
    return ((bent + 1) / 2 * MU).round().long()


def to_sound(levels: Tensor) -> Tensor:
    """Return the sound of levels."""
    bent = levels / MU * 2 - 1
    return bent.sign() * torch.expm1(bent.abs() * math.log1p(MU)) / MU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, help="a .wav file with what was sampled")
    options = parser.parse_args()
    torch.manual_seed(0)
    notes = [pluck(SCALE[note], RATE // 4) for note in torch.randint(len(SCALE), (200,)).tolist()]
    levels = to_levels(torch.cat(notes))
    training, rest = levels[: len(levels) * 9 // 10], levels[len(levels) * 9 // 10 :]
    unseen = rest[: len(rest) // LENGTH * LENGTH].view(-1, 1, LENGTH)[:150]

    net = GatedPixelCNN((1, LENGTH), MU + 1, width=64, depth=8)

    def batch() -> Tensor:
        starts = torch.randint(len(training) - LENGTH, (24,))
        return torch.stack([training[start : start + LENGTH] for start in starts.tolist()])[:, None]

    learn(net, batch, options.steps)
    net.eval()
    baseline = frequency_bits(training, unseen, MU + 1)
    print(f"unseen sound: {bits(net, unseen):.3f} bits per sample; from the levels' frequencies alone {baseline:.3f}")
    if options.out is not None:
        sampled = sample_raster(net, torch.zeros(8, 1, LENGTH, dtype=torch.int64), rng=torch.Generator().manual_seed(1))
        pcm = (to_sound(sampled.flatten()) * 32767).to(torch.int16)
        with wave.open(str(options.out), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(pcm.numpy().tobytes())
        print(f"8 pieces of {LENGTH / RATE * 1000:.0f} ms: {options.out}")


if __name__ == "__main__":
    main()
