"""How batches are drawn: rows that differ, classes that are mixed, and other images at each step."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.history import History

REPEATED, WIDE = 0.5, 32
"""Share of equal rows; rows of fewer numbers may be equal by chance."""

LATE = 100
MANY_BATCHES, SMALLEST, LARGEST, ROUND = 10, 8, 256, (50, 100, 200)
SAME = 0.3
"""Distance of two batches, row by row, below which they are the same images: with noise, or moved a little."""

FOLLOWS, NEXT = 0.5, 0.15
"""Training accuracy of a network that follows the last batch; how far the mean class moves from step to step, as a share of the classes."""

SORTED = 0.5
"""How often two rows of a batch are of one class where batches are sorted, and how much of the way from rows of different ones to always."""


def _alike(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if not history.alone:
        return inapplicable("networks of one loop feed one another")
    if inputs is None or inputs.rows < 2:
        return inapplicable("the input is no batch of floating-point values")
    if not (math.isfinite(inputs.low) and math.isfinite(inputs.high)):
        return inapplicable("the inputs are not finite, which another check says")
    if not inputs.rows_differ:
        return seen("all rows of the batch are the same image", rows=inputs.rows)
    if inputs.duplicates >= REPEATED and inputs.rows >= 8 and inputs.columns >= WIDE:
        return seen(
            f"{inputs.duplicates:.0%} of the batch's {inputs.rows} rows repeat another one",
            severity="warning",
            rows=inputs.rows,
            duplicates=inputs.duplicates,
        )
    return passed("the rows of the batch differ")


def _unshuffled(history: History) -> Verdict:
    """Compare how often two rows of one batch are of the same class with how often two rows of different batches are."""
    if not history.alone:
        return inapplicable("a network beside others is given one kind at a time, as a discriminator is")
    batches = _counts(history)
    if len(batches) < MANY_BATCHES or len(batches) < 0.7 * len(history.records):
        return skipped("too few batches of several rows whose labels are known")
    within = statistics.fmean(
        sum(n * (n - 1) for n in counts) / (sum(counts) * (sum(counts) - 1)) for counts in batches
    )
    shares = [[n / sum(counts) for n in counts] for counts in batches]
    total = [sum(column) for column in zip(*shares, strict=True)]
    pairs = len(batches) * (len(batches) - 1)
    across = (sum(x * x for x in total) - sum(x * x for row in shares for x in row)) / pairs
    if within < SORTED or within - across < SORTED * (1 - across) + 1e-9:
        return passed("batches hold several classes, or all of them the same one")
    recent = [record.logits.accuracy for record in history.records[-8:] if record.logits is not None]
    follows = history.loop.step >= LATE and bool(recent) and statistics.fmean(recent) <= FOLLOWS
    if not (_in_order(history) or follows):
        return passed(
            "batches hold one class, in a random order; the network learns, or it is to be seen whether it follows the last one"
        )
    return seen(
        f"two images of one batch are of the same class in {within:.0%} of the cases, images of different batches in {across:.0%}: they are "
        "not shuffled",
        within=within,
        across=across,
        batches=len(batches),
    )


def _counts(history: History) -> list[tuple[int, ...]]:
    """Return how many rows of each class the batches held, of eight rows or more and one label each."""
    found: list[tuple[int, ...]] = []
    for record in history.records:
        binary = next((o for o in record.outputs if o.binary is not None and o.columns == 1), None)
        if record.logits is not None and SMALLEST <= record.logits.rows <= record.given_rows:
            found.append(record.logits.labels)
        elif binary is not None and binary.binary is not None and SMALLEST <= binary.rows <= record.given_rows:
            positive = round(binary.binary.positive * binary.rows)
            found.append((binary.rows - positive, positive))
    return [counts for counts in found if len(counts) == len(found[-1])]


def _in_order(history: History) -> bool:
    """Whether the mean class moves little from a step to the next one, as where data lie sorted."""
    means = {
        record.step: sum(c * n for c, n in enumerate(record.logits.labels))
        / sum(record.logits.labels)
        / record.logits.classes
        for record in history.records
        if record.logits is not None
    }
    means = means or {r.step: o.binary.positive / 2 for r in history.records for o in r.outputs if o.binary is not None}
    moves = [abs(means[step + 1] - mean) for step, mean in means.items() if step + 1 in means]
    return len(moves) >= 4 and statistics.fmean(moves) <= NEXT


def _same_batch(history: History) -> Verdict:
    records, loop = history.records[-MANY_BATCHES:], history.loop
    if not history.alone or loop.closure or records[-1].repeats is None:
        return inapplicable("there are no batches of one network that could be compared")
    if len(records) < MANY_BATCHES or loop.step < LATE:
        return skipped(f"fewer than {MANY_BATCHES} probes")
    size = records[-1].given_rows
    if any(r.repeats is None or r.repeats > SAME or r.given_rows != size for r in records):
        return passed("batches differ")
    # A whole data set at each step is the same too: one tensor, given again and again, and hardly of such a number of rows.
    if not SMALLEST <= size <= LARGEST or (size & (size - 1) and size not in ROUND):
        return passed("every batch is the same, of a number of rows as a whole data set has")
    if not (loop.evaluations + loop.train_evaluations or all(r.remade for r in records)):
        return skipped("every batch is the same, as where all data are taken at each step")
    return seen(f"every step sees the same {size} images", rows=size)


CHECKS = (
    Check(
        "inputs_constant",
        _alike,
        "critical",
        1,
        "Rows of the batch are equal, so that nothing can be told apart. An index that does not move, workers that draw the same random "
        "numbers, or a buffer that is filled again while the batch still refers to it, does this.",
        "an invariant; half of the rows for repetitions",
        (Remedy("look at what the loader returns for different indices"),),
    ),
    Check(
        "batches_not_shuffled",
        _unshuffled,
        "warning",
        1,
        "A batch of one class pulls every output towards that class, the next batch towards another: the network "
        "follows the last batch it has "
        "seen instead of learning to tell classes apart. Data that lie sorted in their folders come like that unless they are shuffled.",
        "Bottou 2012, Stochastic gradient descent tricks: shuffle the examples",
        (Remedy("shuffle the training data", "DataLoader(dataset, batch_size=64, shuffle=True)"),),
        confidence=0.9,
    ),
    Check(
        "batches_repeat",
        _same_batch,
        "warning",
        1,
        "Each step is taken on the very same batch: the rest of the data is never seen. next(iter(loader)) within the "
        "loop makes a new iterator "
        "at each step, and without shuffling that begins with the same images. The training loss falls to 0, and validation does not move.",
        "an invariant: successive batches differ",
        (Remedy("go through the loader", "for images, labels in loader:"),),
        confidence=0.8,
    ),
)
