"""Images of a batch that are not kept apart, though none is to know of the others."""

from __future__ import annotations

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, passed, seen
from seewhy.diagnosis.history import History


def _softmax_axis(history: History) -> Verdict:
    last = history.latest[-1]
    if last.batch_softmax and _keeps_rows(history):
        return seen(
            "a softmax is taken over the batch: the images of a batch compete with one another",
            (last.batch_softmax,),
            axis=0,
        )
    return passed("no softmax is taken over the batch")


def _keeps_rows(history: History) -> bool:
    """Whether the network gives a row for each row that it is given: only then is the first axis known to be that of the batch."""
    last = history.latest[-1]
    rows = last.given_rows
    return any(output.axes == 2 and output.rows == rows for output in last.outputs)


def _sequence_over_batch(history: History) -> Verdict:
    last = history.latest[-1]
    if last.batch_sequence and _keeps_rows(history):
        return seen(
            "a layer of sequences takes the batch for the sequence: its inputs are (batch, time, features), and batch_first is False",
            (last.batch_sequence,),
        )
    return passed("layers of sequences go along the sequence")


def _batch_mixed(history: History) -> Verdict:
    mixed = [record for record in history.records if record.batch_mixed]
    if not mixed or not any(output.rows == mixed[0].given_rows and output.axes > 1 for output in mixed[0].outputs):
        return passed("no view, and no length, was found to mix the images of a batch")
    where = mixed[0].batch_mixed
    return seen(
        "a length is taken along the batch: what an image gives depends on the others"
        if "length" in where
        else "a change of shape puts values of other images of the batch into the row of one",
        (where,),
        rows=mixed[0].given_rows,
    )


CHECKS = (
    Check(
        "softmax_over_wrong_axis",
        _softmax_axis,
        "warning",
        0,
        "A softmax makes the values along one axis compete. Along the first axis these are the images of a batch, "
        "which have nothing to do with "
        "one another: what is predicted of one then depends on which others are beside it. The classes, or the keys of "
        "an attention, are on the "
        "last axis as a rule.",
        "an invariant: no output may depend on another row of the batch",
        (Remedy("take the softmax over the classes or keys", "torch.softmax(scores, dim=-1)"),),
    ),
    Check(
        "sequence_over_batch",
        _sequence_over_batch,
        "warning",
        0,
        "torch's recurrent and attention layers expect (time, batch, features) unless they are made with "
        "batch_first=True. Given (batch, time, "
        "features) they run along the images of the batch, without an error. What is predicted of one image then depends on the others.",
        "an invariant: no output may depend on another row of the batch; torch.nn.LSTM, torch.nn.MultiheadAttention",
        (Remedy("say where the batch is", "batch_first=True"),),
    ),
    Check(
        "batch_mixed",
        _batch_mixed,
        "warning",
        0,
        "What a network says of one image must not depend on which others are in the batch. view() and reshape() keep the order of the "
        "numbers in memory: they do not exchange axes, and of a tensor whose first axis is not the batch they make rows that hold values of "
        "many images. A normalisation along the first axis does the same by its divisor.",
        "an invariant: no output may depend on another row of the batch",
        (
            Remedy("exchange axes before the shape is changed", "x.transpose(0, 1).reshape(batch, -1)"),
            Remedy("normalise along the features", "F.normalize(x, dim=-1)"),
        ),
        confirm=1,
    ),
)
