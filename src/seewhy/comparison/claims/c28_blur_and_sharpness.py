"""C28: VAE samples blend training images; GAN samples are sharper."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.generators import fit_gan, sheet, trained_vae
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import stored
from seewhy.core.seeding import rng
from seewhy.metrics import nearest_neighbours
from seewhy.models import AdversarialDesign, build_gan
from seewhy.reporting.claim_records import Images

SAMPLES, NEIGHBOURS, SHOWN = 500, 5, 8


def measure(setting: Setting) -> Measured:
    """Measure edges in samples of both, and how much better their neighbours' mean fits them than the nearest neighbour."""
    train, test = stored(setting.train), stored(setting.test)
    steps, gan_steps = setting.amount(1500, 30), setting.amount(2000, 20)
    sharp: dict[str, list[float]] = {}
    blend: dict[str, list[float]] = {}
    shown: list[tuple[str, str]] = []
    for seed in range(setting.seeds):
        vae = trained_vae(setting, seed=seed, steps=steps, latent_dim=10)
        design = AdversarialDesign(architecture="dense", latent_dim=20, width=200)
        gan = build_gan(in_shape=setting.in_shape, rng=rng(seed, "claims", "weights"), design=design)
        fit_gan(gan, setting, steps=gan_steps, seed=seed, lr=1e-3)
        images = {
            "VAE": vae.sample(SAMPLES, rng=rng(seed, "claims", "samples")),
            "GAN": gan.sample(SAMPLES, rng=rng(seed, "claims", "samples")),
            "test images": test,
        }
        for name, own in images.items():
            sharp.setdefault(name, []).append(sharpness(own))
            blend.setdefault(name, []).append(_blend(own, train))
        if seed == 0:
            shown = [
                (f"{name}: first row, and below each its nearest training images", _neighbours(own, train))
                for name, own in images.items()
            ]
    return Measured(
        criteria=(
            Criterion(
                text="VAE samples are blurred",
                measure="mean square of the Laplacian, VAE samples / test images",
                values=paired(sharp, "VAE", "test images"),
                high=0.9,
                kind="ratio",
            ),
            Criterion(
                text="GAN samples are sharper than a VAE's",
                measure="mean square of the Laplacian, GAN / VAE samples",
                values=paired(sharp, "GAN", "VAE"),
                low=1.1,
                kind="ratio",
            ),
            Criterion(
                text="VAE samples are blends: more than a real image, they are like the mean of their nearest training images",
                measure=f"(distance to the mean of the {NEIGHBOURS} nearest training images / to the nearest), VAE samples / test images",
                values=paired(blend, "VAE", "test images"),
                high=1.0,
                kind="ratio",
            ),
        ),
        experiment=f"VAE: dense, 128 hidden units, 10 dimensions, {steps} steps, pixels at their means. GAN: dense, 200 units, non-saturating, "
        f"{gan_steps} steps of each network, Adam 0.001. {SAMPLES} samples of each.",
        figure=Images(images=tuple(shown)),
        remarks=(
            ("GAN / test images, mean square of the Laplacian", _mean(paired(sharp, "GAN", "test images"))),
            *(
                (f"{name}: distance to the neighbours' mean / to the nearest", _mean(values))
                for name, values in blend.items()
            ),
        ),
    )


def sharpness(images: Tensor) -> float:
    """Return the mean square of the Laplacian, relative to the images' variance, of uint8 images (N, C, H, W)."""
    x = images.float().div(255.0).flatten(0, 1)[:, None]
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return float(F.conv2d(x, kernel[None, None]).square().mean() / x.var())


def _blend(images: Tensor, train: Tensor) -> float:
    """Return the mean distance to the mean of the nearest training images / to the nearest."""
    queries, candidates = (pixels.flatten(1).float() / 255.0 for pixels in (images, train))
    distances, rows = nearest_neighbours(queries, candidates, NEIGHBOURS)
    apart = (queries - candidates[rows].mean(1)).norm(dim=1)
    return float(apart.mean() / distances[:, 0].mean())


def _neighbours(images: Tensor, train: Tensor) -> str:
    few = images[:SHOWN]
    _, rows = nearest_neighbours(few.flatten(1).float(), train.flatten(1).float(), 3)
    return sheet(torch.cat([few, *(train[rows[:, k]] for k in range(3))]), columns=len(few))


def _mean(values: tuple[float, ...] | list[float]) -> str:
    return f"{sum(values) / len(values):.3g}"


CLAIM = Claim(
    code="C28",
    title="VAE samples blend, GAN samples are sharp",
    sentence="VAE samples blend training images; GAN samples are sharper.",
    source="Goodfellow et al. 2014 (1406.2661): samples can be sharp where likelihoods force a model to cover all images. "
    "Larsen et al. 2016 (1512.09300): an error by pixels makes a VAE average over what it is not sure of.",
    measure=measure,
)
