"""How large a step is, and what undoes it: rates, decay, clipping."""

from __future__ import annotations

import math
import statistics
from typing import Any

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import (
    TINY_UPDATE,
    faded,
    losses,
    poor,
    shares_left,
    standing,
    typical_update,
    updates,
)
from seewhy.diagnosis.history import History, peak_rate
from seewhy.diagnosis.records import ProbeRecord

HUGE_UPDATE, LARGE_UPDATE, SMALL_UPDATE, TINIER_UPDATE = 0.2, 0.01, 1e-4, 1e-6
"""A step's change of a weight matrix as a share of its norm; healthy ones are about 1e-3, and below 0.13 in the benchmark's programs. The
tiniest where the loss is not known."""

REBOUND, UNLEARNED = 1.7, 0.9
CLIMBED, HIGHER, LOW, BEYOND = 2.0, 1.2, 0.1, 100.0
"""How many times as high as guessing a loss must have been; at least, where steps are huge still; what is left where that is forgotten; and
where no second look is needed."""

OVERSHOOT = -1.0
"""Slope at a step's end divided by that at its start: below it, on a parabola, the step has climbed higher than where it came from."""

OVERSHOTS = 4
SILENT, STILL = 0.95, 0.05
SOME, EARLY = 20, 4
LATER, IDLE_PROBES = 100, 10
DECAYED = 1e-2
SHRINKS, SHRUNK = 0.8, 0.6
FAR, GROWN = 1.0, 5.0
"""A step's change of a typical weight, and how many times weights have grown, where it is not known how the network learns."""

CLIPPED = 2e-3
WILD = 0.5
TURNED = -0.3
"""Cosine of successive gradients; with small steps it is the noise of the batches."""


def _finite(history: History) -> list[ProbeRecord]:
    return [record for record in history.records if not record.bad]


def _rate_too_high(history: History) -> Verdict:
    good = _finite(history)
    updated = [(record.step, update) for record in good if (update := typical_update(record)) is not None]
    if len(updated) < 2:
        return skipped("fewer than two updates were measured")
    step, update = max(updated, key=lambda pair: pair[1])
    if not history.alone:
        return _rate_of_a_rival(history, step, update)
    state, last, shares = standing(history), history.latest[-1], shares_left(history)
    if shares and sum(shares[-3:]) / len(shares[-3:]) < LOW and not last.bad:
        return passed("the loss has fallen far")
    values = [value for _, value in losses(history) if math.isfinite(value)]
    climbed = _climbed(history, shares)
    if last.bad and update > WILD:
        return seen(
            f"a step changed a typical weight by {update:.0%} of its norm, and soon after nothing was finite",
            certain=True,
            at=step,
            update=update,
            lr=last.lr,
        )
    bends = [record.overshoot for record in good[-6:] if record.overshoot is not None]
    over = statistics.median(bends) if len(bends) >= OVERSHOTS else 0.0
    evidence: dict[str, Any] = {"update": update, "lr": last.lr, "climbed": climbed, "overshoot": over or None}
    evidence |= {"loss": values[-1], "first_loss": values[0]} if values else {}
    went = _course(values)
    title = f"a step changes a typical weight by {update:.0%} of its norm{went}"
    recent = max(value for _, value in updated[-4:])
    if update > HUGE_UPDATE and climbed > CLIMBED:
        return seen(title, certain=climbed > BEYOND, at=step, **evidence)
    huge = any(value > HUGE_UPDATE for at, value in updated if at > EARLY)
    if huge and state == "poor" and history.loop.step > 2 * SOME and statistics.fmean(shares[-3:] or [0.0]) > UNLEARNED:
        return seen(title, at=step, **evidence)
    if recent > HUGE_UPDATE and state == "poor" and (over < OVERSHOOT or climbed > HIGHER):
        return seen(title, at=step, **evidence)
    if over < OVERSHOOT and state == "poor" and recent > LARGE_UPDATE:
        return seen(
            f"steps jump across the minimum: the slope along a step ends {-over:.1f} times as steep as it began, uphill{went}",
            **evidence,
        )
    back = _rebound(shares)
    if back and recent > LARGE_UPDATE:
        return seen(
            f"the loss had fallen to {back[0]:.0%} of what guessing has, and is {back[1]:.0%} again", **evidence
        )
    if state == "poor" and climbed > CLIMBED:
        return seen(f"the loss has climbed to {climbed:.3g} times what guessing has{went}", **evidence)
    if state == "unknown" and history.loop.step > SOME and (grown := _grown(history)) > GROWN and update > FAR:
        return seen(
            f"a step changed a typical weight by {update:.0%} of its norm, and weights have grown {grown:.0f} times",
            at=step,
            **evidence,
        )
    if state == "unknown" and update > HUGE_UPDATE:
        return skipped("steps are large; whether the network learns is not known")
    return passed("steps are small enough for the weights they change")


def _rate_of_a_rival(history: History, step: int, update: float) -> Verdict:
    """Judge the largest update of a network among several, whose losses say little."""
    if update < WILD:
        return passed("steps are small enough for the weights they change")
    title = f"a step changes a typical weight by {update:.0%} of its norm"
    return seen(title, at=step, update=update, lr=history.latest[-1].lr)


def _course(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    return f", and the loss went from {values[0]:.3g} to {max(values):.3g} and is {values[-1]:.3g}"


def _rebound(shares: list[float]) -> tuple[float, float] | None:
    """Return the least share that was left over three probes, and the present one, where that is high again."""
    means = [statistics.fmean(shares[place : place + 3]) for place in range(len(shares) - 2)]
    if len(means) < 4 or means[-1] < 0.5 or means[-1] < REBOUND * min(means):
        return None
    return min(means), means[-1]


def _climbed(history: History, shares: list[float]) -> float:
    """Return how many times its first value, or that of guessing, the loss has reached; where it is not known, the outputs' gradients."""
    if len(shares) > 1:
        return max(shares[1:]) / max(shares[0], 1.0)
    told = [value for _, value in losses(history) if math.isfinite(value)]
    if len(told) > 1 and told[0] > 0:
        return max(told[1:]) / told[0]
    sizes = [max(o.gradient for o in record.outputs) for record in _finite(history) if record.outputs]
    return max(sizes[3:]) / max(sizes[:3]) if len(sizes) > 5 and max(sizes[:3]) > 0 else 0.0


def _rate_too_low(history: History) -> Verdict:
    """Even the weights that move most do not: where only the first layers stay, the gradient has vanished on the way."""
    last = history.latest[-1]
    if last.bad:
        return inapplicable("values are not finite")
    if (slow := _slow_group(history)) is not None:
        return slow
    if last.lr == 0 or not updates(last):
        return skipped("no update was measured")
    if history.loop.step < SOME:
        return skipped(f"fewer than {SOME} steps")
    if any(a.silent > SILENT for a in last.activations):
        return skipped("a layer is dead, which lets nothing through")
    update, state = updates(last)[-1], standing(history)
    if update == 0:
        return skipped("nothing moves at all")
    recent = [record.lr for record in history.records[-4:] if record.lr is not None]
    if len(recent) > 1 and recent[-1] > 1.01 * recent[0]:
        return skipped("the learning rate is still rising")
    known = state == "poor" or (state == "unknown" and _stands_still(history))
    if state in ("well", "learns") or update >= (TINY_UPDATE if known else TINIER_UPDATE):
        return passed("steps are large enough")
    peak = peak_rate(history) or last.lr
    if peak and last.lr and last.lr < DECAYED * peak:
        return seen(
            f"the learning rate has fallen from {peak:.3g} to {last.lr:.2g} within {history.loop.step} steps, before anything was learned",
            update=update,
            lr=last.lr,
            peak=peak,
        )
    most = statistics.median(updates(record)[-1] for record in history.records if updates(record))
    if most > 10 * TINY_UPDATE:
        return passed("steps were large enough, before something else stopped them")
    if faded(history) is not None:
        return passed("steps are small because signals fade on their way through the layers")
    return seen(
        f"a step changes no weight by more than {update:.0e} of its norm; about 1e-3 is usual",
        update=update,
        lr=last.lr,
    )


def _slow_group(history: History) -> Verdict | None:
    """Return what there is to say of a group of parameters whose rate is nothing beside the others', for long; None if there is none."""
    records = history.records[-IDLE_PROBES:]
    names = set(records[-1].idle).intersection(*(record.idle for record in records))
    weights = {p.name: p for p in records[-1].parameters if p.matrix and p.gradient and p.held}
    still = [name for name in records[-1].idle if name in names and name in weights]
    if not still or len(records) < IDLE_PROBES or history.loop.step < LATER or standing(history) == "well":
        return None
    fastest = max((p.update or 0.0 for p in weights.values()), default=0.0)
    slowest = max(weights[name].update or 0.0 for name in still)
    return seen(
        f"{still[0]} is in a group of the optimiser whose rate is nothing beside the others': a step changes it by {slowest:.0e} of its norm, "
        f"other weights by up to {fastest:.0e}",
        still,
        update=slowest,
        fastest=fastest,
    )


def _stands_still(history: History) -> bool:
    """Whether the gradients at the outputs are as large as at the start."""
    sizes = [max(o.gradient for o in record.outputs) for record in _finite(history) if record.outputs]
    if len(sizes) < 6 or not history.alone:
        return False
    first, last = statistics.fmean(sizes[:3]), statistics.fmean(sizes[-3:])
    return abs(last / first - 1) < STILL if first > 0 else False


def _grown(history: History) -> float:
    """Return how many times their norm at the first probe typical weights have."""
    began = {p.name: p.weight for p in history.first[0].parameters if p.matrix and p.weight > 0}
    grown = [p.weight / began[p.name] for p in history.latest[-1].parameters if p.name in began]
    return statistics.median(grown) if grown else 1.0


def _shrunk(history: History) -> tuple[float, float] | None:
    """Return to which share of their norm at the first probe typical weights have shrunk, and the cosine of their changes with that."""
    first, last = history.first[0], history.latest[-1]
    began = {p.name: p.weight for p in first.parameters if p.matrix and p.weight > 0}
    kept = [p.weight / began[p.name] for p in last.parameters if p.name in began]
    shrinks = [
        p.shrinks for record in history.records[-4:] for p in record.parameters if p.matrix and p.shrinks is not None
    ]
    return (statistics.median(kept), statistics.median(shrinks)) if kept and shrinks else None


def _decay(history: History) -> Verdict:
    last = history.latest[-1]
    decays = any(record.weight_decay for record in history.records)
    if history.loop.step < SOME or len(history.records) < 6:
        return skipped(f"fewer than {SOME} steps")
    if last.bad:
        return inapplicable("values are not finite")
    if standing(history) in ("well", "learns"):
        return passed("the network learns")
    if _climbed(history, shares_left(history)) > BEYOND:
        return passed("the loss has run away, which decay does not make it do")
    found = _shrunk(history)
    if found is None:
        return skipped("no update was measured")
    share, along = found
    if share > SHRUNK or (along < SHRINKS and share > SHRUNK**3):
        return passed("weights keep their size")
    why = (
        f"weight decay of {last.weight_decay:g} has"
        if decays
        else "a penalty or a bound on the weights, not the loss, has"
    )
    return seen(
        f"{why} shrunk a typical weight to {share:.0%} of its norm in {history.loop.step} steps",
        share=share,
        along=along,
        weight_decay=last.weight_decay,
        lr=last.lr,
    )


def _clipped(history: History) -> Verdict:
    norms = [
        math.sqrt(sum(p.gradient**2 for p in record.parameters if p.gradient is not None))
        for record in _finite(history)[-6:]
    ]
    norms = [norm for norm in norms if norm > 0]
    if len(norms) < 5 or history.loop.step < SOME:
        return skipped("fewer than five probes with gradients")
    if max(norms) > (1 + CLIPPED) * min(norms):
        return passed("gradients are not clipped at every step")
    last = history.latest[-1]
    limit = SMALL_UPDATE if poor(history) else TINY_UPDATE
    if not updates(last) or (update := updates(last)[-1]) > limit or standing(history) in ("well", "learns"):
        return passed("gradients are clipped at every step, and steps are large enough")
    return seen(
        f"the gradient's norm is {norms[-1]:.3g} at every step: it is always clipped, to so little that a step changes "
        "no weight by more than "
        f"{update:.0e} of its norm",
        norm=norms[-1],
        update=update,
    )


def _oscillates(history: History) -> Verdict:
    if not history.alone:
        return inapplicable("losses of adversaries swing")
    turns = [record.alignment for record in history.records[-8:] if record.alignment is not None]
    if len(turns) < 6 or history.loop.step < 2 * SOME:
        return skipped("fewer than six pairs of successive gradients")
    moved = [update for record in history.records[-8:] if (update := typical_update(record)) is not None]
    if statistics.median(turns) > TURNED or not moved or statistics.median(moved) < LARGE_UPDATE or not poor(history):
        return passed("successive gradients do not undo one another")
    shares = shares_left(history)
    return seen(
        f"each gradient points back along the one before: the cosine of two successive ones is {statistics.median(turns):.2f}",
        cosine=statistics.median(turns),
        left=shares[-1] if shares else None,
        lr=history.latest[-1].lr,
    )


LOWER = (
    Remedy("go back to the optimiser's usual rate", edit="optim.lr = 'default'"),
    Remedy("take the usual momentum", edit="optim.momentum = 'default'"),
    Remedy("lower the learning rate by 10", edit="optim.lr = {lr_tenth}"),
    Remedy("warm up over the first steps", edit="optim.warmup = 0.1"),
)

CHECKS = (
    Check(
        "weight_decay_too_large",
        _decay,
        "warning",
        1,
        "Weight decay pulls every weight towards 0 at each step, the loss pulls back. Where decay is stronger the weights shrink until the "
        "outputs no longer depend on the inputs. With AdamW a weight falls to a third within 1 / (rate x decay) steps.",
        "Loshchilov & Hutter 2019, Decoupled weight decay, 1711.05101; two fifths of the norm lost",
        (
            Remedy("take the optimiser's usual decay", edit="optim.weight_decay = 'default'"),
            Remedy(
                "leave penalties and bounds of the weights out",
                edit="reg.l2 = 'default', reg.l1 = 'default', reg.max_norm = 'default'",
            ),
            Remedy("leave the decay out", edit="optim.weight_decay = 0.0"),
        ),
        confidence=0.9,
    ),
    Check(
        "learning_rate_too_high",
        _rate_too_high,
        "warning",
        1,
        "A step that changes weights by a tenth of their size jumps across the valley that it should descend. The loss then stays high, "
        "swings, or grows.",
        "updates of about 1e-3 of the weights' norm; band of TheDeepChecker (Ben Braiek & Khomh 2023, 2204.00694); step quality of Cockpit "
        "(Schneider et al. 2021, 2102.06604)",
        LOWER,
        confidence=0.85,
    ),
    Check(
        "gradients_clipped_away",
        _clipped,
        "warning",
        1,
        "Clipping is meant for rare steps with a huge gradient. A bound below the usual norm clips every step, and is "
        "then nothing but a smaller "
        "rate for SGD. The loss falls too slowly to see.",
        "Pascanu et al. 2013, 1211.5063: choose the bound from the norms that are seen",
        (Remedy("clip at a norm that few steps exceed", "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"),),
        confirm=1,
        confidence=0.9,
    ),
    Check(
        "loss_oscillates",
        _oscillates,
        "warning",
        1,
        "Each step goes back over the way of the one before, as a ball that is thrown from one side of a valley to the "
        "other. The rate, or the "
        "momentum, is too large along that direction. The loss falls along the others only.",
        "Cockpit (Schneider et al. 2021, 2102.06604); cosine of successive gradients below -0.3",
        LOWER,
        confidence=0.7,
    ),
    Check(
        "learning_rate_too_low",
        _rate_too_low,
        "warning",
        1,
        "Steps are so small that the weights stay where they began. The loss falls too slowly to see. Where the rate "
        "falls by a schedule, look "
        "whether that counts steps where it means epochs.",
        "updates of about 1e-3 of the weights' norm; 6e-5",
        (
            Remedy("go back to the optimiser's usual rate", edit="optim.lr = 'default'"),
            Remedy("take the usual eps: a large one divides every step", edit="optim.eps = 'default'"),
            Remedy("raise the learning rate by 100", edit="optim.lr = {lr_hundredfold}"),
            Remedy("let the schedule count epochs", "scheduler.step()  # once an epoch"),
        ),
        confidence=0.85,
    ),
)
