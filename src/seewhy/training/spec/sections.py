"""The sections of a specification: data, model, regularisation, optimiser, training.

None means "choose from the data". The names in the Literal types are those of the registries (a test holds the two together).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from seewhy.core.spec import Strict

ModelName = Literal[
    "mlp",
    "convnet",
    "resnet",
    "pixelcnn",
    "gated_pixelcnn",
    "row_lstm",
    "diagonal_bilstm",
    "autoencoder",
    "vae",
    "gan",
]
ActivationName = Literal["relu", "leaky_relu", "prelu", "elu", "tanh", "sigmoid", "gelu", "silu", "maxout"]
InitName = Literal["normal", "lecun", "xavier", "he", "orthogonal", "lsuv", "dirac"]
NormName = Literal["batch", "layer", "group", "instance", "none"]
NormInitName = Literal["standard", "identity"]
StemName = Literal["whitening", "small", "large"]
OptimName = Literal[
    "muon",
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adam",
    "adamw",
    "newton",
    "damped_newton",
    "dfp",
    "bfgs",
    "lbfgs",
]
DropoutName = Literal["inverted", "classic"]
PoolName = Literal["max", "fractional"]
InputsName = Literal["standard", "unit"]
ScheduleName = Literal["triangle", "one_cycle", "cosine", "linear", "constant"]

BinariseName = Literal["stochastic", "threshold"]
CoderName = Literal["dense", "conv"]
OutputName = Literal["bernoulli", "gaussian", "gaussian_learnt", "logistic"]
AdversarialName = Literal["minimax", "non_saturating", "wasserstein", "hinge"]

AUTOREGRESSIVE = ("pixelcnn", "gated_pixelcnn", "row_lstm", "diagonal_bilstm")
LATENT = ("autoencoder", "vae")
GENERATORS = (*AUTOREGRESSIVE, *LATENT, "gan")
"""Networks that make pictures; the others recognise them."""

WITH_MOMENTUM = ("muon", "momentum", "nesterov", "rmsprop")
SECOND_ORDER = ("newton", "damped_newton", "dfp", "bfgs", "lbfgs")
"""Optimisers that evaluate the loss themselves, through a closure."""


class DataSpec(Strict):
    """Which pictures are read, at what size, and how they are split."""

    resolution: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="Side in pixels at which pictures are trained (default: their own size up to 64, else 128).",
    )
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour (default: what the files are).")
    val_fraction: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the training images held out for validation (default: 10%, at most 2,000 images).",
    )
    test_fraction: float = Field(
        0.15, ge=0, lt=1, description="Share held out for testing where the data bring no test part."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split.")
    cache: Literal["pixels", "bytes"] = Field(
        "pixels", description="Keep decoded pixels, or encoded bytes that are decoded for each batch (for big sets)."
    )
    strict: bool = Field(False, description="Stop at an unreadable file instead of leaving it out.")


class ModelSpec(Strict):
    """The network, built from named choices."""

    name: ModelName | None = Field(None, description="Architecture (default: convnet up to 64 pixels, resnet above).")
    inputs: InputsName = Field(
        "standard",
        description="How pixels come in: with mean 0 and deviation 1 per channel over the training images, or from 0 to 1.",
    )
    activation: ActivationName | None = Field(None, description="Activation function.")
    pieces: int | None = Field(None, ge=2, le=255, description="Affine pieces of maxout (default: 2).")
    keep_parameters: bool = Field(
        False,
        description="Make a maxout network narrower, by the root of its pieces, so that it has the weights of a plain one.",
    )
    shared: bool = Field(False, description="One slope of prelu for all features of a layer, instead of one for each.")
    init: InitName | None = Field(None, description="Weight initialisation.")
    init_std: float | None = Field(None, gt=0, description="Deviation of the weights with init normal (default: 0.01).")
    norm: NormName | None = Field(
        None, description="Normalisation between convolution (or linear) layer and activation."
    )
    norm_init: NormInitName = Field(
        "standard",
        description="How batch normalisation starts: scale 1 and shift 0, or as the identity on training images.",
    )
    width: int | None = Field(
        None, ge=1, le=65536, description="Channels of the first group (mlp: units of a hidden layer)."
    )
    depth: int | None = Field(None, ge=1, le=200, description="Groups of layers (mlp: hidden layers).")
    stem: StemName | None = Field(None, description="First layers: whitening or small up to 64 pixels, large above.")
    pool: PoolName = Field("max", description="Pooling of a convnet: halving, or by sqrt(2) over random regions.")


class GeneratorSpec(Strict):
    """What a generator models, and how; for the generators among the networks only."""

    conditional: bool = Field(False, description="Learn the pictures of each class, so that a class can be asked for.")
    levels: int | None = Field(
        None,
        ge=2,
        le=256,
        description="Levels of brightness that are told apart (default: 2, black and white, for grey pictures of 16 to 32 pixels, "
        "16 for smaller ones, else 256).",
    )
    binarise: BinariseName = Field(
        "stochastic",
        description="How 2 levels are made: white with the pixel's brightness as probability, drawn anew each time, or from half on.",
    )
    kernel: int | None = Field(
        None,
        ge=3,
        le=63,
        description="Side of the convolutions after the first that look at other pixels, odd (pixelcnn, gated_pixelcnn).",
    )
    code: int | None = Field(
        None, ge=1, le=4096, description="Numbers in a code (autoencoder, vae) or in the noise (gan)."
    )
    coder: CoderName | None = Field(
        None,
        description="Networks around the code: dense layers, or convolutions (default: dense up to 32 pixels, grey).",
    )
    output: OutputName | None = Field(
        None, description="Distribution of a pixel given the code (default: bernoulli for 2 levels, else logistic)."
    )
    beta: float = Field(1.0, ge=0, description="Weight of the KL term of a vae.")
    free_bits: float = Field(0.0, ge=0, description="Nats of KL of each code dimension that cost nothing (vae).")
    kl_warmup: float = Field(
        0.0, ge=0, le=1, description="Share of the steps in which the KL term's weight rises (vae)."
    )
    samples: int = Field(
        1,
        ge=1,
        le=1000,
        description="Codes drawn for each picture: more than 1 is the importance-weighted bound (vae).",
    )
    loss: AdversarialName | None = Field(None, description="What generator and discriminator play for (gan).")
    penalty: float | None = Field(
        None, ge=0, description="Weight of the gradient penalty (gan; default: 10 for wasserstein, else 0)."
    )
    turns: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Steps of the discriminator for one of the generator (gan; default: 1, wasserstein 5).",
    )


class RegSpec(Strict):
    """Against overfitting: what the training images and targets go through, and dropout."""

    label_smoothing: float | None = Field(
        None, ge=0, lt=1, description="Probability taken from the true class and spread over all."
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability with which a unit is dropped: after every hidden layer of an mlp, before the output layer of others.",
    )
    input_dropout: float = Field(
        0.0, ge=0, lt=1, description="Probability with which a value of the picture is dropped."
    )
    dropout_kind: DropoutName = Field(
        "inverted", description="Scale dropout in training (inverted) or evaluation (classic)."
    )
    dropconnect: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability with which a weight in front of an activation is dropped, anew for each image.",
    )
    dropconnect_shared: int = Field(
        1, ge=1, description="Images that share a mask of DropConnect; masks cost that much less."
    )
    stochastic_depth: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Probability with which the last residual block is skipped; earlier ones less, linearly.",
    )
    l1: float = Field(
        0.0, ge=0, description="L1 penalty of matrices and filters by the proximal step, which makes exact zeros."
    )
    l2: float = Field(
        0.0,
        ge=0,
        description="L2 penalty in the loss: this / 2 times the sum of squares (optim.weight_decay is the decoupled one).",
    )
    max_norm: float | None = Field(
        None, gt=0, description="Largest Euclidean norm of the weights that come into a unit or filter."
    )
    penalise_all: bool = Field(
        False, description="Penalise biases, normalisations' scales and shifts, and PReLU's slopes too."
    )
    crop_padding: int | None = Field(None, ge=0, le=256, description="Pixels of reflected border for the random crop.")
    flip: Literal["none", "random", "alternating"] | None = Field(
        None, description="Horizontal flips: none, random, or alternating with the epoch."
    )
    resized_crop: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Least share of the area that a random resized crop shows (0.08 for photographs); replaces the padded crop.",
    )
    cutout: int = Field(0, ge=0, le=1024, description="Side in pixels of a square hole in every training image.")
    erasing: float = Field(0.0, ge=0, le=1, description="Share of the training images with a random rectangle erased.")
    mixup: float = Field(
        0.0, ge=0, le=100, description="Blend pairs of images and targets by Beta(this, this); 0 is off."
    )
    cutmix: float = Field(
        0.0, ge=0, le=100, description="Paste windows of other images, sized by Beta(this, this); 0 is off."
    )
    brightness: float = Field(0.0, ge=0, le=1, description="Brightness jitter: factor within 1 +- this.")
    contrast: float = Field(0.0, ge=0, le=1, description="Contrast jitter: factor within 1 +- this.")
    saturation: float = Field(0.0, ge=0, le=1, description="Saturation jitter: factor within 1 +- this.")
    hue: float = Field(0.0, ge=0, le=0.5, description="Hue jitter: shift within +- this share of the circle.")


class OptimSpec(Strict):
    """How the weights move."""

    name: OptimName | None = Field(None, description="Optimiser.")
    lr: float | None = Field(None, gt=0, description="Peak learning rate (default: the optimiser's own).")
    momentum: float | None = Field(None, ge=0, lt=1, description=f"Momentum, for {', '.join(WITH_MOMENTUM)}.")
    weight_decay: float | None = Field(
        None, ge=0, description="Weight decay of matrices and filters; biases and norms have none."
    )
    schedule: ScheduleName | None = Field(None, description="Learning rate over the run.")
    warmup: float | None = Field(None, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")


class TrainSpec(Strict):
    """Budget, precision, seeds, averaging and checkpoints."""

    epochs: float | None = Field(
        None, gt=0, description="Budget in passes over the training images; may be fractional."
    )
    minutes: float | None = Field(
        None, gt=0, description="Budget in minutes: the epochs that fit are worked out at the start."
    )
    batch_size: int | None = Field(None, ge=1, description="Images a step, over all processes.")
    early_resolution: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="Side in pixels at which the first part of the run sees the pictures; the full side is off.",
    )
    early_fraction: float = Field(
        0.6, ge=0, le=1, description="Share of the steps that are taken at train.early_resolution."
    )
    seed: int = Field(0, ge=0, description="Seed of weights, order and augmentation.")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="bf16 where the hardware is fast at it, else fp32."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    threads: int | None = Field(None, ge=1, description="Processor threads (default: all cores).")
    ema: float | None = Field(
        None, ge=0, lt=1, description="Decay a step of the averaged weights used for prediction; 0 is off."
    )
    tta: Literal["none", "flip", "flip_shift"] | None = Field(
        None, description="Average predictions over mirrored, or mirrored and shifted, views."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many epochs without a better validation accuracy."
    )
    snapshots: int = Field(
        1,
        ge=1,
        le=1000,
        description="Cycles of the learning rate, each of which leaves a network; predictions average them (a snapshot ensemble).",
    )
    bootstrap: bool = Field(
        False, description="Train on as many images drawn with replacement, by train.seed (bagging, in an ensemble)."
    )
    checkpoint_seconds: float = Field(30.0, ge=0, description="Seconds between checkpoints within an epoch.")
    tensorboard: bool = Field(False, description="Also write TensorBoard event files.")


class EnsembleSpec(Strict):
    """Several networks whose probabilities are averaged."""

    members: int = Field(
        1, ge=1, le=1000, description="Networks trained from seeds train.seed, train.seed + 1, ...; 1 is a single run."
    )
    edits: tuple[str, ...] = Field(
        (),
        strict=False,
        description="What the members change, in turn, as TOML: 'model.activation = \"elu\", optim.lr = 0.1'.",
    )
    jobs: int | None = Field(
        None, ge=1, description="Members trained at the same time (default: one a processor core; one on a GPU)."
    )


def names_of(choice: Any) -> tuple[str, ...]:
    """Return the names in a Literal type."""
    return tuple(get_args(choice))
