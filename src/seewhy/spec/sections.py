"""The sections that every run has: data, regularisation, training, ensemble. A model and an optimiser bring their own."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seewhy.spec.section import ASCENDING, Choice, Group, Section, chosen, pair


class ModelSection(Choice):
    """The fields of one model: a subclass a model."""

    @property
    def code(self) -> tuple[str, ...]:
        """What is imported to make the network that seewhy does not bring, as "package.module:attribute"."""
        return ()


class DataSection(Section):
    """Which images are read, at what size, and how they are split."""

    resolution: int = chosen(
        ge=4,
        le=1024,
        description="Side in pixels at which images are trained (default: their own size up to 64, else 128).",
    )
    channels: Literal[1, 3] = chosen(description="1 for grey, 3 for colour (default: what the files are).")
    val_fraction: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the training images held out for validation (default: 10%, at most 2,000 images).",
    )
    test_fraction: float = Field(
        0.15, ge=0, lt=1, description="Share held out for testing where the data bring no test split."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split.")
    labels: str | None = Field(
        None,
        min_length=1,
        description="CSV or Parquet file that says the labels of a folder's images, where its folders do not.",
    )
    image_column: str | None = Field(
        None,
        min_length=1,
        description="Column of the labels file, or of a data set, with the images; of tar shards their ending (default: found).",
    )
    label_column: str | None = Field(
        None,
        min_length=1,
        description="Column of the labels file, or of a data set, with the labels; of tar shards a field of .json (default: found).",
    )
    split_column: str | None = Field(
        None,
        min_length=1,
        description="Column, or field of .json, that says train, val or test (default: found); none to take no notice of one.",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="What must lie in one split (patient, video): a column, a field of .json, or a regular expression for images' names.",
    )
    folds: int | None = Field(
        None, ge=2, le=1000, description="Parts of the images that are not for testing, for cross-validation."
    )
    fold: int = Field(1, ge=1, description="Which of data.folds is for validation.")
    balance: Literal["none", "sqrt", "equal"] = Field(
        "none",
        description="Draw classes of different sizes as they are, by the square roots of their sizes, or equally often.",
    )
    cache: Literal["pixels", "bytes", "none"] = Field(
        "pixels",
        description="Keep decoded pixels; encoded bytes that are decoded for each batch; or none: images are read where they are, and "
        "decoded for each batch (for sets beyond the disk).",
    )
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop",
        description="How images that are not square become so: cut at the centre, filled up with black, or stretched.",
    )
    max_pixels: int = Field(
        268_435_456,
        ge=1,
        description="Largest number of pixels of an image that is decoded (a JPEG counts at the size to which decoding scales it).",
    )
    strict: bool = Field(False, description="Stop at an unreadable file instead of leaving it out.")


class RegSection(Section):
    """Against overfitting: penalties on weights, and augmentation that keeps the distribution of the images."""

    l1: float = Field(
        0.0, ge=0, description="L1 penalty of matrices and filters by the proximal step, which makes exact zeros."
    )
    l2: float = Field(
        0.0,
        ge=0,
        description="L2 penalty in the loss: this / 2 times the sum of squares (optim.weight_decay is the decoupled one).",
    )
    max_norm: float | None = Field(
        None, gt=0, description="Largest Euclidean norm of the incoming weights of a unit or filter."
    )
    penalise_all: bool = Field(
        False, description="Penalise biases, normalisations' scales and shifts, and PReLU's slopes too."
    )
    flip: Literal["none", "random", "alternating"] = chosen(
        description="Horizontal flips: none, random, or alternating with the epoch."
    )
    brightness: float = Field(0.0, ge=0, le=1, description="Brightness jitter: factor within 1 +- this.")
    contrast: float = Field(0.0, ge=0, le=1, description="Contrast jitter: factor within 1 +- this.")
    saturation: float = Field(0.0, ge=0, le=1, description="Saturation jitter: factor within 1 +- this.")
    hue: float = Field(0.0, ge=0, le=0.5, description="Hue jitter: shift within +- this share of the circle.")


Shares = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]], ASCENDING]

Ratios = Annotated[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], ASCENDING]


class ResizedCrop(Group):
    """Random resized crops."""

    lead: ClassVar[str] = "scale"
    scale: Shares = pair((0.08, 1.0), "Least and largest share of the area that a crop shows.")
    ratio: Ratios = pair((3 / 4, 4 / 3), "Least and largest width / height of a crop.")

    @classmethod
    def lead_value(cls, value: Any) -> Any:
        """A single number is the least share; the largest is the whole image."""
        return [value, 1.0] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class Cutout(Group):
    """A square erased from every training image."""

    lead: ClassVar[str] = "size"
    size: int = Field(..., ge=1, le=1024, description="Side of the square in pixels.")


class Erasing(Group):
    """Random rectangles erased from some training images."""

    lead: ClassVar[str] = "probability"
    probability: float = Field(..., gt=0, le=1, description="Share of the training images.")
    area: Shares = pair((0.02, 0.4), "Least and largest share of the area.")
    ratio: Ratios = pair((0.3, 1 / 0.3), "Least and largest width / height.")


class TrainSection(Section):
    """Budget, precision, seeds, averaging and checkpoints."""

    epochs: float = chosen(gt=0, description="Budget in passes over the training images; may be fractional.")
    minutes: float | None = Field(
        None, gt=0, description="Budget in minutes: the epochs that fit are worked out at the start."
    )
    batch_size: int = chosen(ge=1, description="Images of a step, over all processes.")
    seed: int = Field(0, ge=0, description="Seed of weights, order and augmentation.")
    initial_weights: str | None = Field(
        None,
        min_length=1,
        description="Run whose weights are the first ones (default: random). Network and image size are that run's unless asked for; what "
        "belongs to classes that both know is carried over by name.",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="bf16 where the hardware is fast at it, else fp32."
    )
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    threads: int | None = Field(None, ge=1, le=256, description="Processor threads (default: all cores).")
    ema: float = chosen(ge=0, lt=1, description="Decay per step of the averaged weights used for prediction; 0 is off.")
    patience: int | None = Field(
        None, ge=1, description="Stop after this many epochs without a better validation score."
    )
    bootstrap: bool = Field(
        False, description="Train on as many images sampled with replacement, by train.seed (bagging, in an ensemble)."
    )
    checkpoint_seconds: float = Field(30.0, ge=0, description="Seconds between checkpoints within an epoch.")
    tensorboard: bool = Field(False, description="Also write TensorBoard event files.")
    wandb: bool = Field(False, description="Also log to Weights & Biases (WANDB_MODE=offline: into the run's folder).")
    mlflow: bool = Field(False, description="Also log to MLflow, where MLFLOW_TRACKING_URI says.")


class EnsembleSection(Section):
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


SECTION_TITLES: dict[str, str] = {
    "data": "data",
    "model": "network",
    "reg": "against overfitting",
    "optim": "optimiser",
    "train": "training",
    "ensemble": "ensemble",
}
"""The sections of a specification in their order, with their titles for people."""

Values = dict[str, Any]
