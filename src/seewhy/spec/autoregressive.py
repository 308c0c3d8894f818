"""The family of autoregressive models: PixelCNNs and PixelRNNs, whose likelihood is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from seewhy.spec.facts import DataFacts
from seewhy.spec.family import Default, Defaults, Family, Metric, Model
from seewhy.spec.generative import (
    LikelihoodSection,
    common_defaults,
    common_rules,
    default_levels,
    generative_epochs,
)
from seewhy.spec.section import chosen
from seewhy.spec.view import View


class MaskedSection(LikelihoodSection):
    """What networks of masked convolutions take."""

    kernel_size: int = chosen(
        ge=3, le=63, description="Side of the convolutions after the first that look at other pixels, odd."
    )


class PixelCNN(MaskedSection):
    """Masked convolutions in residual blocks."""

    name: Literal["pixelcnn"] = "pixelcnn"


class GatedPixelCNN(MaskedSection):
    """Two stacks of gated masked convolutions."""

    name: Literal["gated_pixelcnn"] = "gated_pixelcnn"


class RowLSTM(LikelihoodSection):
    """An LSTM a row at a time."""

    name: Literal["row_lstm"] = "row_lstm"


class DiagonalBiLSTM(LikelihoodSection):
    """LSTMs along both diagonals."""

    name: Literal["diagonal_bilstm"] = "diagonal_bilstm"


def rules(view: View) -> Iterator[str]:
    """Yield what does not go together."""
    yield from common_rules(view)
    kernel = view["model.kernel_size"]
    if kernel is not None and kernel % 2 == 0:
        yield f"model.kernel_size: must be odd, so that it has a centre, got {kernel}"


USUAL: dict[str, tuple[int, int, float]] = {
    "pixelcnn": (32, 4, 3e-3),
    "gated_pixelcnn": (32, 7, 2e-3),
    "row_lstm": (32, 2, 2e-3),
    "diagonal_bilstm": (16, 1, 2e-3),
}
"""Width, depth and learning rate by model."""

KERNELS = {"pixelcnn": 7, "gated_pixelcnn": 3}


def defaults(view: View, facts: DataFacts) -> Defaults:
    """Return what is chosen where nothing is said."""
    name = view["model.name"]
    width, depth, rate = USUAL[name]
    found = common_defaults(view, facts, rate=rate, schedule="linear")
    found |= {
        "model.width": Default(width),
        "model.depth": Default(depth),
        "model.levels": default_levels(facts),
    }
    if name in KERNELS:
        found["model.kernel_size"] = Default(KERNELS[name])
    return found


_VERBS = frozenset({"evaluate", "sample", "sample_quality", "complete"})

FAMILY = Family(
    name="autoregressive models",
    implementation="seewhy.models.autoregressive.family:IMPLEMENTATION",
    rules=rules,
    defaults=defaults,
    epochs=generative_epochs,
    labels="optional",
    closures=False,
    metric=Metric("nats", higher=False, unit="nats per image"),
    figures=(Metric("bits_per_dimension", higher=False, unit="bits"),),
    models=(
        Model(
            name="pixelcnn",
            section=PixelCNN,
            verbs=_VERBS | {"export"},
            summary="pixel after pixel, from those before it, by masked convolutions",
            formula="p(x) = prod_i p(x_i | x_<i), each a softmax over levels",
            source="van den Oord et al. 2016, 1601.06759",
            good_for="exact likelihoods; completing images",
            bad_for="global shape; a blind spot to the upper right of each pixel",
            claims=("C24",),
        ),
        Model(
            name="gated_pixelcnn",
            section=GatedPixelCNN,
            verbs=_VERBS | {"export"},
            summary="PixelCNN of two stacks without blind spot, with gates and class conditioning",
            formula="y = tanh(W_f * x + V_f h) sigmoid(W_g * x + V_g h)",
            source="van den Oord et al. 2016, 1606.05328",
            good_for="the best likelihood for the time; class-conditional images",
            bad_for="sampling large images: a step for each pixel",
            claims=("C24",),
        ),
        Model(
            name="row_lstm",
            section=RowLSTM,
            verbs=_VERBS,
            summary="an LSTM that goes down an image a row at a time, its state a convolution along the row",
            formula="c_r = s(f) c_(r-1) + s(i) tanh(g), h_r = s(o) tanh(c_r); gates = K_is * x_r + K_ss * h_(r-1)",
            source="van den Oord et al. 2016, 1601.06759",
            good_for="more context than a PixelCNN of few layers",
            bad_for="a triangle of context only; rows one after the other",
            claims=("C24",),
        ),
        Model(
            name="diagonal_bilstm",
            section=DiagonalBiLSTM,
            verbs=_VERBS,
            summary="LSTMs along the diagonals from both upper corners: the context is every earlier pixel",
            formula="gates of (r, j) = K_is x_rj + U_0 h_(r,j-1) + U_1 h_(r-1,j), in two directions",
            source="van den Oord et al. 2016, 1601.06759",
            good_for="the whole context in one layer",
            bad_for="training time: a step for each diagonal",
            claims=("C24",),
        ),
    ),
)
