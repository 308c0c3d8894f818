"""C25: random codes decode badly in an autoencoder, well in a VAE."""

from __future__ import annotations

from torch import Tensor

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.generators import sheet, trained_autoencoder, trained_extractor, trained_vae
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import stored
from seewhy.core.seeding import rng
from seewhy.metrics import frechet_distance
from seewhy.reporting.claim_records import Images

LATENT = 10
SAMPLES = 1000


def measure(setting: Setting) -> Measured:
    """Decode random latents with both, and compare with real images and with what each decodes from latents of real images."""
    extractor, steps = trained_extractor(setting), setting.amount(1500, 30)
    real, test = stored(setting.train), stored(setting.test)
    reference = extractor.features(real).values
    distances: dict[str, list[float]] = {}
    shown: list[tuple[str, str]] = []
    for seed in range(setting.seeds):
        vae = trained_vae(setting, seed=seed, steps=steps, latent_dim=LATENT)
        autoencoder = trained_autoencoder(setting, seed=seed, steps=steps, latent_dim=LATENT)
        autoencoder.fit_latents(autoencoder.encode(real, None, rng(seed, "claims", "latents")).detach())
        images: dict[str, Tensor] = {
            "VAE, random latents": vae.sample(SAMPLES, rng=rng(seed, "claims", "samples")),
            "VAE, latents of test images": vae.reconstruct(test, rng=rng(seed, "claims", "samples")),
            "autoencoder, latents from N(0, I)": autoencoder.sample(
                SAMPLES, rng=rng(seed, "claims", "samples"), prior="standard"
            ),
            "autoencoder, latents from a fitted Gaussian": autoencoder.sample(
                SAMPLES, rng=rng(seed, "claims", "samples"), prior="gaussian"
            ),
            "autoencoder, latents of test images": autoencoder.reconstruct(test, rng=rng(seed, "claims", "samples")),
        }
        for name, own in images.items():
            distance = frechet_distance(reference, extractor.features(own).values, extractor=extractor.name)
            distances.setdefault(name, []).append(distance.fid)
        if seed == 0:
            shown = [(name, sheet(own[:32])) for name, own in images.items()]
    floor = frechet_distance(reference, extractor.features(test).values, extractor=extractor.name).fid
    return Measured(
        criteria=(
            Criterion(
                text="a VAE's random latents decode better than an autoencoder's",
                measure="Frechet distance to the training images, autoencoder / VAE, latents from N(0, I)",
                values=paired(distances, "autoencoder, latents from N(0, I)", "VAE, random latents"),
                low=1.5,
                kind="ratio",
            ),
            Criterion(
                text="an autoencoder's decode badly: far worse than the latents of images",
                measure="Frechet distance, latents from N(0, I) / of test images, autoencoder",
                values=paired(distances, "autoencoder, latents from N(0, I)", "autoencoder, latents of test images"),
                low=3.0,
                kind="ratio",
            ),
            Criterion(
                text="a VAE's decode well: not far worse than the latents of images",
                measure="the same, VAE",
                values=paired(distances, "VAE, random latents", "VAE, latents of test images"),
                high=3.0,
                kind="ratio",
            ),
        ),
        experiment=f"Dense encoder and decoder with one hidden layer of 128 units, latents of {LATENT} dimensions, {steps} steps of Adam on "
        f"binarised images, the same for both; {SAMPLES} samples, pixels at their means. Frechet distance on {extractor.name}.",
        figure=Images(images=tuple(shown)),
        remarks=(
            *((name, f"Frechet distance {sum(values) / len(values):.3g}") for name, values in distances.items()),
            ("test images themselves", f"Frechet distance {floor:.3g}"),
        ),
    )


CLAIM = Claim(
    code="C25",
    title="Random latents suit a VAE",
    sentence="Random codes decode badly in an autoencoder, well in a VAE.",
    source="Kingma & Welling 2014 (1312.6114): the KL term makes the latents of the data cover N(0, I), from which samples are decoded. "
    "Nothing does so in an autoencoder; Ghosh et al. 2020 (1903.12436) find that fitting a density to its latents afterwards mends most of it.",
    measure=measure,
)
