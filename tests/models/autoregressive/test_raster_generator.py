"""A network together with the intensity levels of its images: many images are sampled a chunk at a time."""

import torch
from raster_cases import randomised

from seewhy.models.autoregressive import raster_generator as module
from seewhy.models.autoregressive.networks.pixelcnn import PixelCNN
from seewhy.models.autoregressive.raster_generator import RasterGenerator
from seewhy.models.intensity import IntensityLevels


def build():
    return RasterGenerator(
        randomised(PixelCNN((3, 3, 4), 5, classes=2, width=4, depth=1, first_kernel_size=3)), IntensityLevels(5)
    )


def test_many_images_are_sampled_in_chunks(monkeypatch):
    model, labels, reports, sizes = build(), torch.arange(7) % 2, [], []
    plain = module.sample_raster
    monkeypatch.setattr(
        module,
        "sample_raster",
        lambda net, values, *rest, **more: sizes.append(len(values)) or plain(net, values, *rest, **more),
    )
    monkeypatch.setattr(module, "AT_ONCE", 3)
    samples = model.sample(7, labels, rng=torch.Generator().manual_seed(0), progress=lambda *done: reports.append(done))
    assert sizes == [3, 3, 1]
    assert samples.shape == (7, 3, 3, 4)
    assert reports == [(position, 36) for position in range(1, 37)]
    first = model.sample(3, labels[:3], rng=torch.Generator().manual_seed(0))
    assert torch.equal(samples[:3], first)
    assert len(samples.flatten(1).unique(dim=0)) > 3
    images = torch.randint(0, 256, (5, 3, 3, 4), dtype=torch.uint8)
    given = torch.rand(5, 3, 3, 4) < 0.5
    completed = model.complete(images, given, labels[:5], rng=torch.Generator().manual_seed(0))
    assert torch.equal(completed[given], images[given])
    assert set(completed[~given].tolist()) <= set(IntensityLevels(5).images(torch.arange(5)).tolist())


def test_noise_bounds_what_is_sampled_at_once(monkeypatch):
    model, sizes = build(), []
    plain = module.sample_raster
    monkeypatch.setattr(
        module,
        "sample_raster",
        lambda net, values, *rest, **more: sizes.append(len(values)) or plain(net, values, *rest, **more),
    )
    monkeypatch.setattr(module, "NOISE", 2 * 4 * 3 * 5)
    assert model.sample(5, torch.zeros(5, dtype=torch.int64)).dtype == torch.uint8
    assert sizes == [2, 2, 1]
