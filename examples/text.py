"""A gated PixelCNN over one axis learns to write: bytes of English text, one after the other.

    python examples/text.py                 about four minutes on two cores
    python examples/text.py --steps 20      a glance

The text is the manual of Python's own help system, which every Python brings along. The last tenth is not trained on.
"""

from __future__ import annotations

import argparse
from pydoc_data.topics import topics

import torch
from learn import bits, frequency_bits, learn

from seewhy.models.autoregressive import GatedPixelCNN, sample_raster

LENGTH = 128
"""Bytes of a sequence."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    torch.manual_seed(0)
    text = torch.frombuffer(bytearray("\n".join(topics.values()).encode()), dtype=torch.uint8).long()
    training, rest = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    unseen = rest[: len(rest) // LENGTH * LENGTH].view(-1, 1, LENGTH)[:200]

    net = GatedPixelCNN((1, LENGTH), 256, width=96, depth=6)

    def batch() -> torch.Tensor:
        starts = torch.randint(len(training) - LENGTH, (32,))
        return torch.stack([training[start : start + LENGTH] for start in starts.tolist()])[:, None]

    learn(net, batch, options.steps)
    net.eval()
    baseline = frequency_bits(training, unseen, 256)
    print(f"unseen text: {bits(net, unseen):.3f} bits per byte; from the bytes' frequencies alone {baseline:.3f}")
    given = torch.zeros(1, 1, LENGTH, dtype=torch.int64)
    prompt = b"The statement "
    given[0, 0, : len(prompt)] = torch.tensor(list(prompt))
    kept = torch.arange(LENGTH) < len(prompt)
    written = sample_raster(net, given, kept, rng=torch.Generator().manual_seed(1), temperature=0.7)
    print(bytes(written[0, 0].tolist()).decode(errors="replace"))


if __name__ == "__main__":
    main()
