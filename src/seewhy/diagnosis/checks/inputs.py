"""What goes in: values of a size that the first layer can use, rows that differ, and no label among them."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import known, standing
from seewhy.diagnosis.history import History

LARGE, SMALL = 10.0, 0.02
"""Root mean square beyond which inputs count as unscaled: standardised ones have 1, pixels from 0 to 1 about 0.5."""

ONE_SIGNED = 3.0
"""Mean as a multiple of the deviation from which inputs of one sign count as far from centred."""

REPEATED, WIDE = 0.5, 32
"""Share of equal rows; rows of fewer numbers may be equal by chance."""

SOON, LATE = 10, 100
MANY_BATCHES, SMALLEST, LARGEST, ROUND = 10, 8, 256, (50, 100, 200)
SAME = 0.3
"""Distance of two batches, row by row, below which they are the same images: with noise, or moved a little."""

FOLLOWS, NEXT = 0.5, 0.15
"""Training accuracy of a network that follows the last batch; how far the mean class moves from step to step, as a share of the classes."""

SORTED = 0.5
"""How often two rows of a batch are of one class where batches are sorted, and how much of the way from rows of different ones to always."""

LEAK, TYPICAL, EXACT = 0.97, 0.6, 0.9995
"""Share of a column's variance between the classes; at most that of the columns' upper quartile, for where "
"many columns tell the label it i"
easy; and where only a column that follows from the label counts."""

EVALUATED, IMAGE = 64, 32
OTHER_SCALE, OTHER_MEAN, FAR_SCALE, FAR_MEAN = 1.7, 0.7, 3.0, 3.0
"""How many times the deviation of what evaluations are given is that of what steps are, or the other way round, and by how many deviations the
mean is moved, where that is no augmentation; and for rows of a few numbers, whose distribution may drift."""

MANY = 100
RARE, VERY_RARE = 10.0, 30.0
"""How many times as frequent as another a class is where the rarer one is noted, and where it is likely to be ignored."""

NO_BATCH = "the input is no batch of floating-point values"


def _alike(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if not history.alone:
        return inapplicable("networks of one loop feed one another")
    if inputs is None or inputs.rows < 2:
        return inapplicable(NO_BATCH)
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


def _unscaled(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if inputs is None:
        return inapplicable(NO_BATCH)
    sizes = [math.hypot(mean, std) for mean, std in zip(inputs.mean, inputs.std, strict=True)]
    size = math.sqrt(sum(value**2 for value in sizes) / len(sizes))
    if not math.isfinite(size):
        return inapplicable("the inputs are not finite, which another check says")
    if SMALL <= size <= LARGE or size == 0:
        return passed("inputs are of the size that layers expect")
    if history.loop.step < SOON:
        return skipped(f"fewer than {SOON} steps")
    if standing(history) in (("well",) if size > LARGE else ("well", "learns", "unknown")):
        return passed("inputs are unscaled, but the network learns")
    return seen(
        f"inputs lie between {inputs.low:.3g} and {inputs.high:.3g}; layers are made for values of about 1",
        mean=list(inputs.mean),
        std=list(inputs.std),
        size=size,
    )


def _one_signed(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if inputs is None:
        return inapplicable(NO_BATCH)
    if inputs.low < 0 < inputs.high or inputs.low == inputs.high:
        return passed("inputs are of both signs")
    mean, std = (sum(abs(value) for value in part) / len(part) for part in (inputs.mean, inputs.std))
    if mean < ONE_SIGNED * std or not math.isfinite(mean):
        return passed("inputs are of one sign, and vary as much as they are large")
    if standing(history) != "poor":
        return passed("inputs are of one sign; the network learns, as far as that is known")
    first = next((p for p in history.latest[-1].parameters if p.agreement is not None), None)
    return seen(
        f"inputs lie between {inputs.low:.3g} and {inputs.high:.3g}: their mean is {mean / max(std, 1e-12):.1f} times their deviation",
        mean=list(inputs.mean),
        std=list(inputs.std),
        agreement=None if first is None else first.agreement,
    )


def _leak(history: History) -> Verdict:
    found = [logits.leak for _, logits in known(history) if logits.leak is not None][-4:]
    if not found:
        return inapplicable("there are no class labels, or fewer than three rows a class")
    if len(found) < 3:
        return skipped("fewer than three probes")
    columns = {column for column, *_ in found}
    least, typical = min(share for _, share, _ in found), max(share for *_, share in found)
    if least < LEAK or len(columns) > 2 or (typical > TYPICAL and least < EXACT):
        return passed("no single input tells the label")
    return seen(
        f"one number of the input tells the label: {least:.1%} of the variance of column {found[-1][0]} lies between the classes",
        column=found[-1][0],
        share=least,
    )


def _rare_positives(history: History) -> Verdict | None:
    """Return what the targets of a single binary output say; None where there is none."""
    outputs = [output for record in history.records for output in record.outputs]
    found = [(o.rows, o.binary.positive) for o in outputs if o.binary is not None and o.columns == 1]
    if not history.alone or len(found) < 8 or len(found) < len(history.records):
        return None
    total, positive = sum(rows for rows, _ in found), sum(rows * share for rows, share in found)
    least, most = min(positive, total - positive), max(positive, total - positive)
    ratio = most / (least + 1)
    if ratio < RARE or not least:
        return passed("neither answer is far rarer than the other")
    return seen(
        f"one answer is {ratio:.0f} times as frequent as the other in {total:,} images, and the loss counts all alike",
        severity="warning" if ratio >= VERY_RARE else None,
        ratio=ratio,
    )


def _imbalance(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if (rare := _rare_positives(history)) is not None:
        return rare
    found = [logits for _, logits in known(history) if sum(n > 0 for n in logits.labels) > 1]
    if inputs is None or any(logits.rows > inputs.rows or logits.classes > MANY for logits in found):
        return inapplicable("there is no one label for each of the inputs, or very many classes")
    if not found:
        return inapplicable("the loss is no unweighted cross-entropy of classes")
    if len(found) < 8 or len({logits.classes for logits in found}) > 1:
        return skipped("too few batches of several classes")
    counts = [sum(column) for column in zip(*(logits.labels for logits in found), strict=True)]
    least = min(n for n in counts if n)
    ratio = max(counts) / (least + 1)  # of a class that is rarely seen the share is hardly known
    if ratio < RARE:
        return passed("no class is far rarer than another")
    return seen(
        f"class {counts.index(least)} occurs {least} times in {sum(counts):,} images, class {counts.index(max(counts))} "
        f"{max(counts):,} times, "
        "and the loss counts all alike",
        severity="warning" if ratio >= VERY_RARE else None,
        ratio=ratio,
        counts=counts,
    )


def _one_label(history: History) -> Verdict:
    found = [logits for _, logits in known(history)]
    if not found or found[0].classes < 2:
        return inapplicable("the loss is no cross-entropy of classes")
    if history.loop.step < LATE / 2 or len(found) < 0.7 * len(history.records):
        return skipped("too few batches whose labels are known")
    labels = [
        sum(column)
        for column in zip(*(logits.labels for logits in found if logits.classes == found[0].classes), strict=True)
    ]
    if sum(n > 0 for n in labels) > 1:
        return passed("labels differ")
    return seen(f"all of {sum(labels):,} labels are class {labels.index(max(labels))}", count=sum(labels))


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
    if within < SORTED or within - across < SORTED * (1 - across):
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


def _evaluated(history: History) -> Verdict:
    """Compare what evaluations are given with what steps are: it should come from the same transforms."""
    loop = history.loop
    records = [record for record in history.records if record.given_moments is not None]
    if not history.alone or len(records) < 4:
        return skipped("fewer than four batches of floating-point values were seen")
    if loop.looked_rows < EVALUATED:
        return skipped(f"fewer than {EVALUATED} rows were seen in evaluations")
    if not any(output.rows == records[-1].given_rows and output.axes == 2 for output in records[-1].outputs):
        return inapplicable("the network gives no row of numbers for each of its inputs")
    given = [record.given_moments for record in records if record.given_moments is not None]
    mean = statistics.fmean(m for m, _ in given)
    std = math.sqrt(statistics.fmean(s * s + m * m for m, s in given) - mean * mean)
    other = math.sqrt(max(0.0, loop.looked_square - loop.looked_mean**2))
    least, most = sorted((std, other))
    channels = (
        records[-1].inputs is not None and len(records[-1].inputs.mean) > 0 and records[-1].inputs.columns >= IMAGE
    )
    ratio, moved = (OTHER_SCALE, OTHER_MEAN) if channels else (FAR_SCALE, FAR_MEAN)
    shift = abs(loop.looked_mean - mean)
    if not math.isfinite(most) or most == 0 or (most <= ratio * least and shift <= moved * most):
        return passed("evaluations are given values of the same size as steps")
    return seen(
        f"steps are given values with a mean of {mean:.3g} and a deviation of {std:.3g}, evaluations {loop.looked_mean:.3g} and {other:.3g}: "
        "they are not prepared alike",
        mean=mean,
        std=std,
        evaluated_mean=loop.looked_mean,
        evaluated_std=other,
    )


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
        "labels_constant",
        _one_label,
        "critical",
        1,
        "Every image that was seen has the same label, so that the network need only learn to say it. A folder that is "
        "read without its classes, "
        "or a column of labels that is overwritten, does this. The loss goes to 0, and means nothing.",
        "an invariant",
        (Remedy("count the labels that the loader gives", "collections.Counter(labels.tolist())"),),
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
    Check(
        "inputs_unscaled",
        _unscaled,
        "warning",
        1,
        "Initialisations and rates are made for inputs of about mean 0 and deviation 1. Bytes from 0 to 255 make the "
        "first layer's outputs and "
        "gradients hundreds of times too large, values near 0 as many times too small.",
        "LeCun et al. 1998, Efficient BackProp; root mean square beyond 0.02 and 10",
        (
            Remedy("standardise the inputs", "x = (x / 255 - mean) / std", edit="model.inputs = 'default'"),
            Remedy("normalise after the first layer", edit='model.norm = "batch"'),
        ),
    ),
    Check(
        "label_leakage",
        _leak,
        "warning",
        1,
        "A number that is written into the input together with the label, such as an index, a file's border or a "
        "column that was made from it, "
        "tells the label without any look at the image. Training and validation then look perfect. On images without that mark the network "
        "knows nothing.",
        "Kaufman et al. 2012, Leakage in data mining; share of a column's variance between the classes (epsilon squared)",
        (Remedy("look at that column of the inputs beside the labels, and take it out"),),
        confirm=2,
        confidence=0.8,
    ),
    Check(
        "inputs_one_signed",
        _one_signed,
        "warning",
        1,
        "Where all inputs are of one sign, all weight gradients of a unit share the sign of its error: its weights can only rise or fall "
        "together, and the way to the minimum zigzags. The mean also dominates the variation that tells images apart.",
        "LeCun et al. 1998, Efficient BackProp; mean beyond 3 deviations",
        (
            Remedy("subtract the mean", "x = (x - mean) / std", edit="model.inputs = 'default'"),
            Remedy("normalise after the first layer", edit='model.norm = "batch"'),
        ),
        confidence=0.7,
    ),
    Check(
        "class_imbalance",
        _imbalance,
        "note",
        1,
        "A class of which there is one image for fifty of another hardly moves the loss. The network can ignore it and "
        "still have a small loss; "
        "what it knows of that class it knows from few images. Accuracy hides that, the recall of each class shows it.",
        "Buda et al. 2018, 1710.05381; Johnson & Khoshgoftaar 2019; 30 to 1",
        (
            Remedy("weight the classes in the loss", "torch.nn.CrossEntropyLoss(weight=1 / counts)"),
            Remedy(
                "sample the classes equally", "torch.utils.data.WeightedRandomSampler(1 / counts[labels], len(labels))"
            ),
        ),
        confidence=0.7,
    ),
    Check(
        "evaluation_inputs_differ",
        _evaluated,
        "warning",
        1,
        "Validation images must be prepared as training images are: the same scale, mean and size. A network that was trained on standardised "
        "images and is evaluated on bytes, or on values between 0 and 1, sees things that it has never seen. Its figures are bad though it "
        "has learned well.",
        "an invariant: both come from one distribution; deviations 1.7 times apart, means 0.7 deviations",
        (Remedy("prepare both with the same normalisation; leave augmentation out of evaluation"),),
        counted=True,
        confirm=1,
        confidence=0.9,
    ),
)
