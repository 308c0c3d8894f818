"""Randomness as a pure function of its address.

A draw is never "the next number of some generator": it is a hash of (seed, purpose, epoch, index, ...). So the
order of the data and every augmentation can be computed again after an interruption, on another process, or
for one image alone, and nothing about generators has to be saved.

Two doors: `derive` makes a seed for a torch generator from any address; `uniform` makes one number in [0, 1)
for each image of a batch at once, from integer tensors, by the finaliser of SplitMix64
(Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derive(seed: int, *address: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and every part of `address`, and on nothing else."""
    text = "\x1f".join(str(part) for part in (seed, *address))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *address: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of a device seeded with `derive(seed, *address)`."""
    return torch.Generator(device).manual_seed(derive(seed, *address))


def seed_global(seed: int, device: torch.device) -> None:
    """Seed the generators that modules draw from on a device.

    `torch.manual_seed` also looks for devices that are not there, which takes 100 times as long as seeding: a tenth of a small network's step.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _signed(value: int) -> int:
    """Reinterpret an unsigned 64-bit integer as the signed one that torch.int64 holds."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical (unsigned) right shift; torch's own is arithmetic on int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def uniform(indices: Tensor, seed: int, *address: str | int) -> Tensor:
    """Return one number in [0, 1) per index, each a pure function of (seed, address, index).

    Args:
        indices: int64 of any shape: the images' places in the data set.
        seed: the run's seed.
        address: what the draw is for, such as `("flip", epoch)`.

    Returns:
        float32 tensor of the shape of `indices`, on its device, with 24 random bits.
    """
    x = indices * _GOLDEN + derive(seed, *address)  # int64 arithmetic wraps, as the hash needs
    x = (x ^ _shift_right(x, 30)) * _MIX1
    x = (x ^ _shift_right(x, 27)) * _MIX2
    x = x ^ _shift_right(x, 31)
    return _shift_right(x, 40).to(torch.float32) * (1.0 / (1 << 24))
