"""C29: a GAN can collapse to few modes, and the remedies help."""

from __future__ import annotations

from typing import Any

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.generators import fit_gan, trained_extractor
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.metrics import FeatureExtractor, class_coverage
from seewhy.models import AdversarialDesign, build_gan
from seewhy.reporting.claim_records import Dots

SAMPLES = 1000

BAD: dict[str, Any] = {"lr": 1e-3, "generator_lr": 1e-2, "beta": 0.9}
"""The generator runs away from a discriminator that is ten times slower."""

USUAL: dict[str, Any] = {"lr": 1e-3, "beta": 0.5}

CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bad rates": ({"loss": "non_saturating"}, BAD),
    "equal rates": ({"loss": "non_saturating"}, USUAL),
    "bad rates, hinge and spectral normalisation": ({"loss": "hinge"}, BAD),
    "bad rates, Wasserstein and gradient penalty": ({"loss": "wasserstein", "critic_steps": 1}, BAD),
}
"""By condition: the design, and how it is trained."""


def measure(setting: Setting) -> Measured:
    """Train with a bad setting, and with one remedy at a time, and count the classes that are generated."""
    extractor = trained_extractor(setting)
    steps = setting.amount(700, 20)
    found: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    covered: dict[str, list[int]] = {name: [] for name in CONDITIONS}
    for name, (design, training) in CONDITIONS.items():
        for seed in range(setting.seeds):
            effective, classes = _coverage(setting, extractor, design, training, seed, steps)
            found[name].append(effective)
            covered[name].append(classes)
    bad = "bad rates"
    return Measured(
        criteria=(
            Criterion(
                text="with bad rates a GAN generates few classes",
                measure=f"classes that occur as evenly, exp(entropy), of {setting.classes}",
                values=tuple(found[bad]),
                high=0.5 * setting.classes,
            ),
            *(
                Criterion(
                    text=f"{text}",
                    measure=f"the same, {name}, minus with bad rates alone",
                    values=differences(found, name, bad),
                    low=0.0,
                )
                for name, text in zip(
                    list(CONDITIONS)[1:],
                    ("better rates help", "spectral normalisation helps", "the gradient penalty helps"),
                    strict=True,
                )
            ),
        ),
        experiment=f"Dense generator and discriminator, 100 and 20 units wide, noise of 20 dimensions, "
        f"{steps} steps of each network, Adam 0.001 with "
        f"beta_1 = 0.5; bad rates: the generator's 10 times the discriminator's, beta_1 = 0.9. {SAMPLES} samples, classes by {extractor.name}.",
        figure=Dots(
            y="classes generated, exp(entropy)",
            groups={name: tuple(values) for name, values in found.items()},
            line=float(setting.classes),
        ),
        remarks=tuple((f"classes covered, {name}", ", ".join(map(str, values))) for name, values in covered.items()),
    )


def _coverage(
    setting: Setting,
    extractor: FeatureExtractor,
    design: dict[str, Any],
    training: dict[str, Any],
    seed: int,
    steps: int,
) -> tuple[float, int]:
    """Return the effective number of classes of a GAN's samples, and how many are covered."""
    gan = build_gan(
        in_shape=setting.in_shape,
        rng=rng(seed, "claims", "weights"),
        design=AdversarialDesign(architecture="dense", latent_dim=20, width=100, **design),
    )
    fit_gan(gan, setting, steps=steps, seed=seed, **training)
    features = extractor.features(gan.sample(SAMPLES, rng=rng(seed, "claims", "samples")))
    assert features.probabilities is not None, "a classifier's"
    counts = setting.train.y.bincount(minlength=setting.classes)
    coverage = class_coverage(features.probabilities, counts, classifier=extractor.name)
    return coverage.effective_classes, coverage.covered


CLAIM = Claim(
    code="C29",
    title="Mode collapse, and its remedies",
    sentence="A GAN can collapse to few modes, and the remedies help.",
    source="Goodfellow et al. 2014 (1406.2661), section 6: trained too far against a fixed discriminator, the generator maps many z to one x. "
    "Metz et al. 2017 (1611.02163), Gulrajani et al. 2017 (1704.00028) and Miyato et al. 2018 (1802.05957) offer remedies.",
    measure=measure,
)
