"""Randomness as a pure function of its address.

A random number is never "the next one of some generator": it is a hash of (seed, purpose, epoch, index, ...). So the
order of the data and every augmentation can be computed again after an interruption, on another process, or
for one image alone, and no state of a source of random numbers has to be saved.

- `derive` makes a seed from any address, and `rng` a source of random numbers with that seed.
- `uniform` makes one number in [0, 1) for each image of a batch at once, from integer tensors, by the finaliser of
  SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").
- `murmur_hash_` hashes int32 counters in place, where many bits are needed for each image or example.
- `random_bits16` takes 16 bits per element from a source of random numbers, at a quarter of its calls.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def derive(seed: int, *address: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and every part of `address`, and on nothing else."""
    text = "\x1f".join(str(part) for part in (seed, *address))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def rng(seed: int, *address: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a source of random numbers on a device, seeded with `derive(seed, *address)`."""
    return torch.Generator(device).manual_seed(derive(seed, *address))


def seed_global(seed: int, device: torch.device) -> None:
    """Seed the global sources of random numbers that modules use on a device.

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
_SPLIT_MIX1 = _signed(0xBF58476D1CE4E5B9)
_SPLIT_MIX2 = _signed(0x94D049BB133111EB)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical (unsigned) right shift; torch's own is arithmetic on int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def uniform(indices: Tensor, seed: int, *address: str | int) -> Tensor:
    """Return one number in [0, 1) per index, each a pure function of (seed, address, index).

    Args:
        indices: int64 of any shape, such as the sample ids of a batch.
        seed: the run's seed.
        address: what the numbers are for, such as `("flip", epoch)`.

    Returns:
        float32 tensor of the shape of `indices`, on its device, with 24 random bits.
    """
    x = indices * _GOLDEN + derive(seed, *address)  # int64 arithmetic wraps, as the hash needs
    x = (x ^ _shift_right(x, 30)) * _SPLIT_MIX1
    x = (x ^ _shift_right(x, 27)) * _SPLIT_MIX2
    x = x ^ _shift_right(x, 31)
    return _shift_right(x, 40).to(torch.float32) * (1.0 / (1 << 24))


_MURMUR_MIX1 = 0x85EBCA6B - (1 << 32)
_MURMUR_MIX2 = 0xC2B2AE35 - (1 << 32)


def murmur_hash_(counters: Tensor) -> Tensor:
    """Mix the bits of 32-bit integers, in place, by the finaliser of MurmurHash3 (Appleby 2011).

    It is a bijection: distinct counters have distinct hashes, each bit of which depends on every bit of the counter. Consecutive counters are
    best multiplied by an odd number near 2^32 divided by the golden ratio first (0x9E3779B1, 0x9E3779B9), and a seed added.

    Args:
        counters: int32 of any shape, overwritten; int32 arithmetic wraps, as the hash needs.

    Returns:
        `counters`.
    """
    x = counters
    x ^= _shift_right32(x, 16)
    x *= _MURMUR_MIX1
    x ^= _shift_right32(x, 13)
    x *= _MURMUR_MIX2
    x ^= _shift_right32(x, 16)
    return x


def _shift_right32(x: Tensor, bits: int) -> Tensor:
    """Logical (unsigned) right shift of int32."""
    return (x >> bits).bitwise_and_((1 << (32 - bits)) - 1)


def random_bits16(
    shape: Sequence[int], rng: torch.Generator | None = None, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Return 16 uniform random bits per element: int16 of a shape, from -2^15 to 2^15 - 1.

    Four elements share 64 bits of the source, which takes a third of the time of a call for each.

    Args:
        shape: of the result.
        rng: the source of random numbers; None for the global one of the device.
        device: of the result, and of `rng` where it is given.
    """
    count = math.prod(shape)
    words = torch.randint(-(2**63), 2**63 - 1, (-(-count // 4),), generator=rng, device=device)
    return words.view(torch.int16)[:count].view(tuple(shape))
