"""What a classifier's network is built from beside its name."""

from __future__ import annotations

from dataclasses import dataclass, field

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.choices import ActivationChoice, Choice, as_choice
from seewhy.nn import DROPOUTS, INITS, NORM_INITS, NORMS, POOLINGS, Activation, Dropout, Parts


@dataclass(frozen=True, kw_only=True)
class Regularisers:
    """What is dropped in training.

    Attributes:
        dropout: probability with which a unit of a hidden layer (mlp), or an input of the output layer (others), is dropped.
        input_dropout: the same for the values of the image.
        dropout_kind: one of `seewhy.nn.DROPOUTS`.
        dropconnect: probability with which a weight in front of an activation is dropped, by a mask for each group of images.
        dropconnect_shared: images that share a mask.
        stochastic_depth: probability with which the last residual block is skipped (resnet); that of block l of L is l / L of it.
    """

    dropout: float = 0.0
    input_dropout: float = 0.0
    dropout_kind: str = "inverted"
    dropconnect: float = 0.0
    dropconnect_shared: int = 1
    stochastic_depth: float = 0.0

    def validate(self) -> None:
        """Raise InputError for a name that is not known or a number out of range."""
        if self.dropout_kind not in DROPOUTS.names():
            raise unknown_name("dropout_kind", self.dropout_kind, DROPOUTS.names())
        if self.dropconnect_shared < 1:
            raise bad_value("dropconnect_shared", self.dropconnect_shared, "at least 1")
        for name in ("dropout", "input_dropout", "dropconnect", "stochastic_depth"):
            if not 0 <= getattr(self, name) < 1:
                raise bad_value(name, getattr(self, name), "at least 0 and less than 1")

    def dropout_layer(self) -> Dropout:
        """Return the dropout of units."""
        return Dropout(self.dropout, kind=self.dropout_kind)

    def input_dropout_layer(self) -> Dropout:
        """Return the dropout of the image's values."""
        return Dropout(self.input_dropout, kind=self.dropout_kind)


@dataclass(frozen=True, kw_only=True)
class ClassifierDesign:
    """The choices of a network beside its name. A name stands for a `Choice` without options.

    Attributes:
        activation: one of `seewhy.nn.ACTIVATIONS`, or its factory; of maxout `keep_parameters` too, see `seewhy.models.choices`.
        init: one of `seewhy.nn.INITS`.
        norm: one of `seewhy.nn.NORMS`; of batch normalisation also `init`, how it starts, one of `seewhy.nn.NORM_INITS`.
        pool: one of `seewhy.nn.POOLINGS` (convnet).
        width: units of a hidden layer, or channels of the first group.
        depth: hidden layers, or groups (stages).
        stem: first layers, one of `STEMS[name]`; None for the usual ones at the size of the images.
        regularisers: what is dropped in training.
    """

    activation: Activation | Choice | str = "relu"
    init: Choice | str = "he"
    norm: Choice | str = "batch"
    pool: Choice | str = "max"
    width: int = 64
    depth: int = 3
    stem: str | None = None
    regularisers: Regularisers = field(default_factory=Regularisers)

    def validate(self) -> None:
        """Raise InputError for a name that is not known or a number out of range."""
        ActivationChoice.of(self.activation)
        INITS[self.init_choice.name]
        NORMS[self.norm_choice.name]
        NORM_INITS[self.norm_init]
        if self.norm_init == "identity" and self.norm_choice.name != "batch":
            raise InputError(
                f"norm_init: 'identity' is a start of batch normalisation, but norm is {self.norm_choice.name!r}; choose batch or standard"
            )
        POOLINGS[self.pool_choice.name]
        if self.width < 1:
            raise bad_value("width", self.width, "at least 1")
        if self.depth < 1:
            raise bad_value("depth", self.depth, "at least 1")
        self.regularisers.validate()

    @property
    def act(self) -> Activation:
        """The activation's factory."""
        return ActivationChoice.of(self.activation).activation

    @property
    def layer_width(self) -> int:
        """The width that layers have."""
        return ActivationChoice.of(self.activation).width(self.width)

    @property
    def init_choice(self) -> Choice:
        """The initialisation."""
        return as_choice(self.init)

    @property
    def norm_choice(self) -> Choice:
        """The normalisation, without the way in which it starts."""
        choice = as_choice(self.norm)
        return Choice(choice.name, {name: value for name, value in choice.options.items() if name != "init"})

    @property
    def norm_init(self) -> str:
        """The way in which normalisation starts."""
        return str(as_choice(self.norm).options.get("init", "standard"))

    @property
    def pool_choice(self) -> Choice:
        """The pooling."""
        return as_choice(self.pool)

    @property
    def data_dependent(self) -> bool:
        """Whether the first weights depend on training images (`seewhy.models.prepare_classifier`)."""
        return self.init_choice.name == "lsuv" or self.norm_init == "identity"

    def parts(self, *, scale: bool = True, momentum: float = 0.1) -> Parts:
        """Return what the blocks share; scale and momentum are those of batch normalisation where its options have none."""
        norm, drop = self.norm_choice, self.regularisers
        return Parts(
            self.act,
            norm.name,
            norm.options,
            scale=scale,
            momentum=momentum,
            dropconnect=drop.dropconnect,
            dropconnect_shared=drop.dropconnect_shared,
        )
