"""What the families of generative models share: the likelihood objective, evaluation, sampling, sheets, frames, sample quality, the report.

A family (autoregressive, latent, adversarial) puts its `Implementation` together from these and its own. Nothing here knows a family.
"""

from seewhy.models.generative.announcement import announce_network
from seewhy.models.generative.arguments import validate_integer, validate_temperature
from seewhy.models.generative.conditioning import Label, class_count, is_conditional, labels_for, labels_in_turn
from seewhy.models.generative.density import CHUNK, augment_of, density_objective, mean_metrics
from seewhy.models.generative.frames import frame_epochs, observe
from seewhy.models.generative.image_writing import write_images
from seewhy.models.generative.likelihood import (
    Estimator,
    evaluate_likelihood,
    format_likelihood,
    likelihood_results,
    log_likelihoods,
)
from seewhy.models.generative.quality import sample_quality
from seewhy.models.generative.report import FolderReader, generative_report, has_ended
from seewhy.models.generative.sampling import sample
from seewhy.models.generative.selection import evenly_spaced, examples, held_out
from seewhy.models.generative.sheets import EXAMPLES, SheetImages, common_sheets, write_sheets

__all__ = [
    "CHUNK",
    "EXAMPLES",
    "Estimator",
    "FolderReader",
    "Label",
    "SheetImages",
    "announce_network",
    "augment_of",
    "class_count",
    "common_sheets",
    "density_objective",
    "evaluate_likelihood",
    "evenly_spaced",
    "examples",
    "format_likelihood",
    "frame_epochs",
    "generative_report",
    "has_ended",
    "held_out",
    "is_conditional",
    "labels_for",
    "labels_in_turn",
    "likelihood_results",
    "log_likelihoods",
    "mean_metrics",
    "observe",
    "sample",
    "sample_quality",
    "validate_integer",
    "validate_temperature",
    "write_images",
    "write_sheets",
]
