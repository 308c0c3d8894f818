"""A network together with the levels of its pictures: many pictures are drawn some at a time."""

import torch
from raster_cases import randomised

from seewhy.models.autoregressive import generator as module
from seewhy.models.autoregressive.generator import RasterGenerator
from seewhy.models.autoregressive.pixelcnn import PixelCNN
from seewhy.models.levels import Levels


def build():
    return RasterGenerator(randomised(PixelCNN((3, 3, 4), 5, classes=2, width=4, depth=1, kernel=3)), Levels(5))


def test_many_pictures_are_drawn_some_at_a_time(monkeypatch):
    made, labels, told, sizes = build(), torch.arange(7) % 2, [], []
    plain = module.draw
    monkeypatch.setattr(
        module,
        "draw",
        lambda net, values, *rest, **more: sizes.append(len(values)) or plain(net, values, *rest, **more),
    )
    monkeypatch.setattr(module, "AT_ONCE", 3)
    drawn = made.sample(7, labels, generator=torch.Generator().manual_seed(0), progress=lambda *done: told.append(done))
    assert sizes == [3, 3, 1]
    assert drawn.shape == (7, 3, 3, 4)
    assert told == [(place, 36) for place in range(1, 37)]
    first = made.sample(3, labels[:3], generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn[:3], first)
    assert len(drawn.flatten(1).unique(dim=0)) > 3
    images = torch.randint(0, 256, (5, 3, 3, 4), dtype=torch.uint8)
    given = torch.rand(5, 3, 3, 4) < 0.5
    done = made.complete(images, given, labels[:5], generator=torch.Generator().manual_seed(0))
    assert torch.equal(done[given], images[given])
    assert set(done[~given].tolist()) <= set(Levels(5).pictures(torch.arange(5)).tolist())


def test_noise_bounds_what_is_drawn_at_once(monkeypatch):
    made, sizes = build(), []
    plain = module.draw
    monkeypatch.setattr(
        module,
        "draw",
        lambda net, values, *rest, **more: sizes.append(len(values)) or plain(net, values, *rest, **more),
    )
    monkeypatch.setattr(module, "NOISE", 2 * 4 * 3 * 5)
    assert made.sample(5, torch.zeros(5, dtype=torch.int64)).dtype == torch.uint8
    assert sizes == [2, 2, 1]
