"""What a network is built from: the named choices, in one object."""

from __future__ import annotations

from dataclasses import dataclass

from seewhy.core.errors import InputError, bad_value
from seewhy.nn import DROPOUTS, INITS, NORM_INITS, NORMS, POOLINGS, Dropout, Parts, maxout_width
from seewhy.nn.activations import Activation, variant


@dataclass(frozen=True, kw_only=True)
class Design:
    """The choices of a network beside its name.

    Attributes:
        activation: one of `seewhy.nn.ACTIVATIONS`.
        pieces: of maxout; None for its usual number.
        keep_parameters: make a maxout network narrower, so that it has the weights of a plain one (`seewhy.nn.maxout_width`).
        shared: one slope of prelu for all features, instead of one for each.
        init: one of `seewhy.nn.INITS`.
        init_std: deviation of the weights with `normal`; None for its usual one.
        norm: one of `seewhy.nn.NORMS`.
        norm_init: how batch normalisation starts, one of `seewhy.nn.NORM_INITS`.
        width: units of a hidden layer, or channels of the first group.
        depth: hidden layers, or groups (stages).
        stem: first layers, one of `STEMS[name]`; None for the usual ones at the size of the pictures.
        dropout: probability with which a unit of a hidden layer (mlp), or an input of the output layer (others), is dropped in training.
        input_dropout: the same for the values of the picture.
        dropout_kind: one of `seewhy.nn.DROPOUTS`.
        dropconnect: probability with which a weight in front of an activation is dropped in training, by masks of the images' own.
        dropconnect_shared: images that share a mask.
        stochastic_depth: probability with which the last residual block is skipped in training (resnet); that of block l of L is l / L of it.
        pool: one of `seewhy.nn.POOLINGS` (convnet).
    """

    activation: str = "relu"
    pieces: int | None = None
    keep_parameters: bool = False
    shared: bool = False
    init: str = "he"
    init_std: float | None = None
    norm: str = "batch"
    norm_init: str = "standard"
    width: int = 64
    depth: int = 3
    stem: str | None = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    dropout_kind: str = "inverted"
    dropconnect: float = 0.0
    dropconnect_shared: int = 1
    stochastic_depth: float = 0.0
    pool: str = "max"

    def check(self) -> None:
        """Raise InputError for a name that is not known or a number out of range."""
        act = self.act
        if self.keep_parameters and act.pieces == 1:
            raise InputError(
                f"model.keep_parameters: only maxout has more weights than others, got {self.activation!r}; leave it out"
            )
        INITS[self.init]
        NORMS[self.norm]
        NORM_INITS[self.norm_init]
        if self.norm_init == "identity" and self.norm != "batch":
            raise InputError(
                f"model.norm_init: 'identity' is a start of batch normalisation, but model.norm is {self.norm!r}; choose batch or standard"
            )
        if self.width < 1:
            raise bad_value("model.width", self.width, "at least 1")
        if self.depth < 1:
            raise bad_value("model.depth", self.depth, "at least 1")
        DROPOUTS[self.dropout_kind]
        POOLINGS[self.pool]
        if self.dropconnect_shared < 1:
            raise bad_value("reg.dropconnect_shared", self.dropconnect_shared, "at least 1")
        for name in ("dropout", "input_dropout", "dropconnect", "stochastic_depth"):
            if not 0 <= getattr(self, name) < 1:
                raise bad_value(f"reg.{name}", getattr(self, name), "at least 0 and less than 1")

    @property
    def looks_at_data(self) -> bool:
        """Whether the first weights depend on training images (`seewhy.models.prepare`)."""
        return self.init == "lsuv" or self.norm_init == "identity"

    def parts(self, *, scale: bool = True, momentum: float = 0.1) -> Parts:
        """Return what the blocks share; scale and momentum are those of batch normalisation."""
        return Parts(self.act, self.norm, scale, momentum, self.dropconnect, self.dropconnect_shared)

    def drop(self, probability: float) -> Dropout:
        """Return a dropout of the design's kind."""
        return Dropout(probability, kind=self.dropout_kind)

    @property
    def act(self) -> Activation:
        """The factory of the activation."""
        return variant(self.activation, pieces=self.pieces, shared=self.shared or None)

    @property
    def true_width(self) -> int:
        """The width that the network has."""
        return maxout_width(self.width, self.act.pieces) if self.keep_parameters else self.width
