"""C26: single VAE dimensions carry meaning."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.generators import sheet, trained_vae
from seewhy.comparison.claims.setting import Examples, Setting
from seewhy.comparison.claims.subsets import stored
from seewhy.core.seeding import rng
from seewhy.models import VAE
from seewhy.reporting.claim_records import Images

LATENT = 10
FACTORS = ("class", "amount of ink", "slant")
ROTATIONS = 20


def measure(setting: Setting) -> Measured:
    """Choose for each factor the dimension that tells most of it on training images, and measure it on test images."""
    explained: dict[str, list[float]] = {}
    shown: list[tuple[str, str]] = []
    for seed in range(setting.seeds):
        model = trained_vae(setting, seed=seed, steps=setting.amount(1500, 30), latent_dim=LATENT)
        posterior = model.posterior(stored(setting.train), rng=rng(seed, "claims", "binarised"))
        train, test = posterior.mean, model.posterior(stored(setting.test), rng=rng(seed, "claims", "binarised")).mean
        source = rng(seed, "claims", "control")
        turns = [
            torch.linalg.qr(torch.randn(LATENT, LATENT, generator=source))[0]
            for _ in range(setting.amount(ROTATIONS, 2))
        ]
        for name in FACTORS:
            known, unseen = factor(setting.train, name), factor(setting.test, name)
            explained.setdefault(name, []).append(_best(train, known, test, unseen))
            shuffled = [known[torch.randperm(len(known), generator=source)] for _ in turns]
            explained.setdefault(f"{name}, shuffled", []).append(
                sum(
                    _best(train, other, test, unseen[torch.randperm(len(unseen), generator=source)])
                    for other in shuffled
                )
                / len(turns)
            )
            scale = train.std(0)
            turned = [_best(train / scale @ turn, known, test / scale @ turn, unseen) for turn in turns]
            explained.setdefault(f"{name}, rotated", []).append(sum(turned) / len(turned))
        if seed == 0:
            shown = [("the dimensions of most KL, from -2 to 2, one a row", _traversal(model, posterior.kl()))]
    return Measured(
        criteria=(
            *(
                Criterion(
                    text=f"a single dimension tells the {name}",
                    measure=f"share of its variance on test images that the best dimension explains, minus with a shuffled {name}",
                    values=differences(explained, name, f"{name}, shuffled"),
                    low=0.1,
                )
                for name in FACTORS
            ),
            Criterion(
                text="dimensions are better than arbitrary directions",
                measure="that share, mean over the factors, minus that of the best of as many rotated directions",
                values=tuple(
                    sum(explained[name][seed] - explained[f"{name}, rotated"][seed] for name in FACTORS) / len(FACTORS)
                    for seed in range(setting.seeds)
                ),
                low=0.0,
            ),
        ),
        experiment=f"VAE with {LATENT} dimensions, one hidden layer of 128 units; "
        "the dimension is chosen on training images and measured on test images. "
        "Of class the share of the dimension's variance between classes; ink is the sum of the pixels, slant the regression of column on row. "
        f"Rotated: the latents, standardised, in {ROTATIONS} random orthogonal bases.",
        figure=Images(images=tuple(shown)),
        remarks=tuple(
            (name, f"{100 * sum(values) / len(values):.1f}% of the variance") for name, values in explained.items()
        ),
    )


def factor(examples: Examples, name: str) -> Tensor:
    """Return a known property of images: their class, int64 (N), or a number each, (N)."""
    if name == "class":
        return examples.y
    ink = examples.pixels.sum(1)  # (N, H, W)
    total = ink.sum((1, 2)).clamp_min(1e-6)
    if name == "amount of ink":
        return total
    rows, columns = torch.arange(ink.shape[1], dtype=ink.dtype)[:, None], torch.arange(ink.shape[2], dtype=ink.dtype)
    mean_row, mean_column = ((ink * axis).sum((1, 2)) / total for axis in (rows, columns))
    r, c = rows - mean_row[:, None, None], columns - mean_column[:, None, None]
    return (ink * r * c).sum((1, 2)) / (ink * r * r).sum((1, 2)).clamp_min(1e-6)


def explained_shares(latents: Tensor, values: Tensor) -> Tensor:
    """Return for each dimension of (N, D) the squared correlation with numbers (N), or of classes the share of variance between them: (D)."""
    centred = latents - latents.mean(0)
    if values.is_floating_point():
        other = values - values.mean()
        return (centred * other[:, None]).sum(0).square() / (centred.square().sum(0) * other.square().sum()).clamp_min(
            1e-12
        )
    between = torch.zeros(latents.shape[1])
    for k in range(int(values.max()) + 1):
        own = centred[values == k]
        between += len(own) * own.mean(0).square()
    return between / centred.square().sum(0).clamp_min(1e-12)


def _best(train: Tensor, known: Tensor, test: Tensor, unseen: Tensor) -> float:
    return float(explained_shares(test, unseen)[explained_shares(train, known).argmax()])


def _traversal(model: VAE, kl: Tensor) -> str:
    from seewhy.models.latent.traversal import by_kl, decode_traversal, traverse_latents

    latents = traverse_latents(torch.zeros(LATENT), by_kl(kl)[:5], torch.linspace(-2.0, 2.0, 9))
    return sheet(decode_traversal(latents, model.decode_images).flatten(0, 1), columns=9)


CLAIM = Claim(
    code="C26",
    title="Single dimensions carry meaning",
    sentence="Single dimensions of a VAE's latent carry meaning.",
    source="Kingma & Welling 2014 (1312.6114) show manifolds of two dimensions. "
    "Higgins et al. 2017: with beta > 1 dimensions come apart into factors. "
    "Locatello et al. 2019 (1811.12359): which dimension means what depends on the seed, and no objective brings it about by itself. "
    "Rolinek et al. 2019 (1812.06775): a diagonal posterior aligns the dimensions with principal directions.",
    measure=measure,
)
