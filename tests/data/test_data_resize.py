"""Shrinking a batch against Pillow's antialiased bilinear resize."""

import numpy as np
import torch
from PIL import Image

from seewhy.data import downsample


def test_downsample_is_pillows_bilinear():
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    small = downsample(images, 24)
    assert small.shape == (3, 3, 24, 24)
    assert small.is_contiguous(memory_format=torch.channels_last)
    for got, image in zip(small, images, strict=True):
        twin = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((24, 24), Image.Resampling.BILINEAR)
        difference = np.abs(got.permute(1, 2, 0).numpy().astype(int) - np.asarray(twin).astype(int))
        assert difference.max() <= 1
