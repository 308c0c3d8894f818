"""Targets that fit the outputs, and outputs that fit the loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.core.findings import Remedy
from seewhy.core.seeding import rng
from seewhy.diagnosis.checks.base import Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.trial.losses import are_probabilities
from seewhy.diagnosis.trial.program import parts
from seewhy.diagnosis.trial.rules import Evidence, Rule, watched

ROWS = 16
"""Examples of which at least two should have unequal labels."""

ZEROS = 0.05
"""Share of exact zeros among outputs that are never negative: a ReLU's."""


def misfit(evidence: Evidence) -> str:
    """Return why the loss cannot be computed of these targets, where that is their fault; "" if it can be or it is not."""
    targets, scores = evidence.program.targets, evidence.program.forward.scores
    if not isinstance(targets, Tensor) or scores is None or evidence.program.whole:
        return ""
    shapes = f"outputs of {tuple(scores.shape)}, targets of {tuple(targets.shape)} and {targets.dtype}"
    if evidence.labels is None:
        whole = targets.is_floating_point() and bool((targets == targets.round()).all())
        return f"the loss takes class labels as int64, not as floating-point numbers: {shapes}" if whole else shapes
    if scores.dim() < 2:
        return shapes
    classes, low, high = scores.shape[1], int(targets.min()), int(targets.max())
    if (
        targets.shape == scores.shape
        and bool(((targets == 0) | (targets == 1)).all())
        and bool((targets.sum(1) == 1).all())
    ):
        return f"the labels are one-hot, where the loss takes their indices: {shapes}"
    if high >= classes or low < 0:
        one = "; they seem to be counted from 1 instead of 0" if (low, high) == (1, classes) else ""
        return f"labels lie between {low} and {high}, where the outputs have {classes} classes, 0 to {classes - 1}{one}"
    return shapes


def _fit(evidence: Evidence) -> Verdict:
    program = evidence.program
    targets = program.targets
    if isinstance(targets, Tensor) and targets.is_floating_point() and not bool(torch.isfinite(targets).all()):
        return seen("the targets are NaN or infinite", values=int((~torch.isfinite(targets)).sum()))
    try:
        program.start  # noqa: B018  measured here first
    except InputError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = misfit(evidence) if any("in the loss" in note for note in getattr(error, "__notes__", ())) else ""
        if not reason:
            raise
        return seen(reason, error=str(error).splitlines()[0])
    if program.whole:
        return passed("the loss takes them")
    return _pairing(evidence)


def _pairing(evidence: Evidence) -> Verdict:
    """Targets in another order must change the loss: where each output meets every target, it does not."""
    program, rows = evidence.program, evidence.program.rows
    inputs, targets = parts(program.batch)
    scores = program.start.seen.scores
    if rows is None or rows.count < 2 or not isinstance(targets, Tensor) or scores is None or targets is inputs:
        return passed("the loss takes them")
    if not targets.is_floating_point() or scores.shape == targets.shape or scores.numel() == targets.numel() == 1:
        return passed("the loss takes them")
    if not isinstance(program.start.seen.outputs, Tensor) or len(scores) != len(targets):
        return passed("the loss takes them")
    trial = program.trial()
    noise = torch.randn(scores.shape, generator=rng(program.seed, "sanity", "noise")).to(scores)
    z = scores.detach() + noise

    def loss(t: Tensor) -> float:
        assert trial.loss is not None
        trial._seeded(None)
        return float(trial.loss(z.clone(), t.clone()))

    here, rolled, other = loss(targets), loss(targets.roll(1, 0)), loss(targets + targets.abs().mean() + 1)
    if math.isclose(here, rolled, rel_tol=1e-5) and not math.isclose(here, other, rel_tol=1e-4):
        return seen(
            f"outputs of {tuple(scores.shape)} and targets of {tuple(targets.shape)} broadcast: each output is compared with every "
            "target, and the loss is the same whatever their order",
            loss=here,
            loss_in_another_order=rolled,
        )
    return passed("the loss takes them, each with its output")


def _constant(evidence: Evidence) -> Verdict:
    targets, rows = evidence.program.targets, evidence.program.rows
    if not isinstance(targets, Tensor) or rows is None or targets.dim() != 1 or targets is evidence.program.batch:
        return inapplicable("the targets are not one number an example")
    if len(targets) < ROWS:
        return skipped(f"fewer than {ROWS} examples")
    if bool((targets != targets[0]).any()):
        return passed(f"{len(torch.unique(targets)):,} different targets")
    scores = evidence.program.forward.scores
    two = scores is not None and (scores.dim() < 2 or scores.shape[1] <= 2)
    return seen(
        f"all {len(targets):,} targets of the batch are {targets[0].item():g}",
        (),
        "note" if two else None,
        rows=len(targets),
        target=float(targets[0]),
    )


def _squashed(evidence: Evidence) -> Verdict:
    scores = evidence.program.start.seen.scores
    kind = evidence.kind.name
    if kind == "binary cross-entropy of probabilities":
        return passed("the loss takes probabilities")
    if scores is None or kind not in ("cross-entropy", "binary cross-entropy", "negative log-likelihood"):
        return inapplicable("the loss is no cross-entropy that takes logits")
    z = scores.detach().float()
    if kind == "negative log-likelihood":
        sums = torch.logsumexp(z, 1).abs().max()
        if sums < 1e-2:
            return passed("the outputs are logarithms of probabilities")
        return seen(
            "the loss is the negative log-likelihood, but the outputs are no logarithms of probabilities: it falls without bound",
            largest_logsumexp=float(sums),
        )
    if z.dim() > 1 and z.shape[1] > 1 and are_probabilities(z):
        return inapplicable("the outputs are probabilities, which another check says")
    low, high, zeros = float(z.min()), float(z.max()), float((z == 0).float().mean())
    # Classes that all have the same output, but for rounding, tell nothing of what made it.
    across = z.amax(1) - z.amin(1) if z.dim() > 1 and z.shape[1] > 1 else z.amax(0) - z.amin(0)
    differ = bool((across > 1e-4 * max(abs(low), abs(high))).any())
    if low >= 0 and high <= 1 and differ and zeros == 0 and z.numel() >= 16:
        return seen(
            f"the outputs lie between {low:.2f} and {high:.2f}: a sigmoid's, where the loss takes logits and squashes them itself",
            low=low,
            high=high,
        )
    if low == 0 and differ and ZEROS < zeros < 1:
        return seen(
            f"no output is negative and {zeros:.0%} are exactly 0: a ReLU's, where the loss takes logits of either sign",
            low=low,
            zeros=zeros,
        )
    return passed(f"outputs lie between {low:.2g} and {high:.2g}")


REMEDIES: tuple[Remedy, ...] = (
    Remedy("return the last linear layer's outputs as they are", "return self.head(x)"),
    Remedy("with F.nll_loss return log-probabilities", "return torch.log_softmax(self.head(x), 1)"),
)

RULES: tuple[Rule, ...] = (
    Rule(
        "targets_do_not_fit",
        _fit,
        "critical",
        0,
        "Cross-entropy takes logits (N, K) and labels (N) as int64 from 0 to K - 1; a loss between numbers takes both in one shape. "
        "Where outputs are (N, 1) and targets (N), torch compares every pair, and the network learns the mean of the targets. No error "
        "is raised then, and the loss still falls a little.",
        "torch.nn.functional; broadcasting semantics; the loss must depend on which target belongs to which output",
        (
            Remedy("give both the same shape", "loss = F.mse_loss(outputs.squeeze(1), targets)"),
            Remedy("count classes from 0, as int64", "labels = labels.long() - labels.min()"),
            Remedy("give indices instead of one-hot rows", "labels = one_hot.argmax(1)"),
        ),
        computable=False,
    ),
    Rule(
        "targets_constant",
        _constant,
        "warning",
        1,
        "Every example of the batch has the same target, so that a constant is the best answer. A loader that reads one class folder "
        "after the other without shuffling does this, or a label that is read from the wrong column. Batch norm and the optimiser's "
        "memory then follow the classes one by one.",
        "an invariant of shuffled batches of 16 or more",
        (Remedy("shuffle the training set", "DataLoader(..., shuffle=True)"), Remedy("look at where labels are read")),
        computable=False,
    ),
    watched("softmax_before_softmax_loss"),
    Rule(
        "outputs_not_logits",
        _squashed,
        "critical",
        0,
        "Cross-entropy takes logits, numbers of either sign and any size, and squashes them itself. After a sigmoid or a ReLU they can "
        "no longer say that a class is unlikely, and the loss cannot come near 0. The negative log-likelihood in turn takes logarithms "
        "of probabilities, without which it has no least value.",
        "torch.nn.functional.cross_entropy, binary_cross_entropy_with_logits, nll_loss",
        REMEDIES,
    ),
)
