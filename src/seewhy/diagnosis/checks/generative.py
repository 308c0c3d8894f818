"""What goes wrong with generative models: latent dimensions that carry nothing, samples that are all alike, a discriminator that wins."""

from __future__ import annotations

import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.history import History
from seewhy.diagnosis.records import ProbeRecord

STEPS, SETTLED = 100, 150
COLLAPSED = 0.04
"""Nats of a latent dimension below which it carries next to nothing."""

ALIKE, NO_SPREAD = 0.15, 0.03
SURE = 0.97


def _posterior(history: History) -> Verdict:
    latent = history.latest[-1].latent
    if latent is None:
        return inapplicable("no latent variable is drawn")
    if history.loop.step < SETTLED:
        return skipped(f"fewer than {SETTLED} steps")
    carrying = sum(kl > COLLAPSED for kl in latent.kl)
    if carrying > 0.1 * len(latent.kl):
        return passed(f"{carrying} of {len(latent.kl)} latent dimensions carry information")
    return seen(
        f"{len(latent.kl) - carrying} of {len(latent.kl)} latent dimensions carry less than {COLLAPSED} nats ({sum(latent.kl):.2g} nats "
        "together): the decoder ignores them",
        kl=sum(latent.kl),
        active=latent.active,
        dimensions=len(latent.kl),
    )


def _samples(record: ProbeRecord) -> tuple[float, float] | None:
    """Return how much the rows of the widest output differ: their spread and nearest distance."""
    wide = max(record.outputs, key=lambda output: output.columns, default=None)
    return (wide.spread, wide.nearest) if wide is not None and wide.columns > 1 else None


def _collapse(history: History) -> Verdict:
    """A generator: its rival's inputs say how much real images differ."""
    if history.alone or not history.rivals:
        return inapplicable("no rival sees what the network makes")
    made = [_samples(record) for record in history.records[-4:]]
    real = [seen_ for rival in history.rivals for record in rival.records[-4:] for seen_ in record.seen]
    own = [pair for pair in made if pair is not None]
    if len(own) < 4 or not real or history.loop.step < STEPS:
        return skipped("too few steps of both networks")
    spread = statistics.median(pair[0] for pair in own) / max(max(pair[0] for pair in real), 1e-12)
    nearest = statistics.median(pair[1] for pair in own) / max(max(pair[1] for pair in real), 1e-12)
    if nearest > ALIKE and spread > NO_SPREAD:
        return passed(f"samples vary {spread:.0%} as much as the images")
    return seen(
        f"samples vary {spread:.0%} as much as the images of the data, and the nearest of two is {nearest:.0%} as far away",
        spread=spread,
        nearest=nearest,
    )


def _victory(history: History) -> Verdict:
    if history.alone:
        return inapplicable("no other network is watched")
    calls = [
        [o.binary for o in record.outputs if o.binary is not None and o.columns == 1] for record in history.records[-6:]
    ]
    sure = [max(binary.confidence for binary in binaries) for binaries in calls if binaries]
    fooled = [min(binary.confidence for binary in binaries) for binaries in calls if len(binaries) > 1]
    if not sure:
        return inapplicable("no binary cross-entropy of a single output was seen")
    if len(sure) < 6 or history.loop.step < STEPS:
        return skipped(f"fewer than {STEPS} steps")
    if statistics.median(sure) < SURE or (fooled and statistics.median(fooled) > 1 - SURE and len(calls[-1]) > 2):
        return passed("the discriminator is not sure of everything")
    return seen(
        f"the discriminator is right with a probability of {statistics.median(sure):.1%}: hardly a gradient is left for the generator",
        confidence=statistics.median(sure),
    )


CHECKS = (
    Check(
        "posterior_collapse",
        _posterior,
        "warning",
        2,
        "The approximate posterior equals the prior: latent dimensions carry nothing, and the decoder does without "
        "them. The rate term is paid "
        "at once, while what a dimension is good for must first be learned; a weight above 1, or a strong decoder, makes that worse.",
        "Bowman et al. 2016, 1511.06349; Burda et al. 2016, 1509.00519; 0.04 nats a dimension",
        (
            Remedy(
                "weigh the rate term less, or let its weight grow",
                "loss = reconstruction + min(1, step / 1000) * kl",
                edit="model.beta = 'default'",
            ),
            Remedy("let each dimension have some nats for nothing (free bits)", edit="model.free_bits = 0.1"),
        ),
        confirm=2,
        confidence=0.9,
    ),
    Check(
        "mode_collapse",
        _collapse,
        "warning",
        2,
        "The generator makes the same few images whatever noise it gets: those that fool the discriminator just now. "
        "The discriminator then "
        "learns these, and the generator goes on to the next.",
        "Salimans et al. 2016, 1606.03498; spread and nearest distance of the samples, as shares of the data's",
        (
            Remedy("lower the generator's rate", "opt_g = torch.optim.Adam(G.parameters(), 2e-4, betas=(0.5, 0.999))"),
            Remedy("let the discriminator see whole batches (minibatch discrimination)"),
        ),
        confirm=3,
        confidence=0.8,
    ),
    Check(
        "discriminator_wins",
        _victory,
        "warning",
        2,
        "The discriminator tells real from made with certainty. Where it is sure its outputs are flat, and the "
        "generator gets no direction. "
        "Their balance is lost, and does not come back by itself.",
        "Arjovsky & Bottou 2017, 1701.04862; Goodfellow 2016, 1701.00160",
        (
            Remedy(
                "slow the discriminator: a lower rate, fewer steps a turn",
                "opt_d = torch.optim.Adam(D.parameters(), 1e-4)",
            ),
            Remedy("smooth its labels, or normalise its weights (spectral norm)"),
        ),
        confirm=3,
        confidence=0.8,
    ),
)
