"""Figures from arrays: classification, calibration, ensembles, likelihood, weight sparsity, and the quality of generated images.

Nothing here knows about networks or data sets: arrays go in, numbers with their counts and intervals come out.
"""

from seewhy.metrics.calibration import (
    apply_temperature,
    brier_score,
    calibration_bins,
    expected_calibration_error,
    fit_temperature,
)
from seewhy.metrics.classification import (
    ClassificationMetrics,
    classification_metrics,
    entropy,
    log_loss,
    mutual_information,
    top_accuracy,
)
from seewhy.metrics.ensembles import by_number, ensemble_metrics
from seewhy.metrics.intervals import mean_interval, wilson_interval
from seewhy.metrics.likelihood import LikelihoodMetrics, likelihood_metrics
from seewhy.metrics.sample_quality import (
    ClassCoverage,
    DensityCoverage,
    FeatureExtractor,
    Features,
    FrechetDistance,
    KernelDistance,
    Memorisation,
    ParzenLikelihood,
    PrecisionRecall,
    SampleQuality,
    Similarity,
    class_coverage,
    density_coverage,
    format_sample_quality,
    frechet_distance,
    kernel_distance,
    measure_sample_quality,
    memorisation,
    nearest_neighbours,
    parzen_likelihood,
    pixel_features,
    precision_recall,
)
from seewhy.metrics.sparsity import format_sparsity, weight_sparsity

__all__ = [
    "ClassCoverage",
    "ClassificationMetrics",
    "DensityCoverage",
    "FeatureExtractor",
    "Features",
    "FrechetDistance",
    "KernelDistance",
    "LikelihoodMetrics",
    "Memorisation",
    "ParzenLikelihood",
    "PrecisionRecall",
    "SampleQuality",
    "Similarity",
    "apply_temperature",
    "brier_score",
    "by_number",
    "calibration_bins",
    "class_coverage",
    "classification_metrics",
    "density_coverage",
    "ensemble_metrics",
    "entropy",
    "expected_calibration_error",
    "fit_temperature",
    "format_sample_quality",
    "format_sparsity",
    "frechet_distance",
    "kernel_distance",
    "likelihood_metrics",
    "log_loss",
    "mean_interval",
    "measure_sample_quality",
    "memorisation",
    "mutual_information",
    "nearest_neighbours",
    "parzen_likelihood",
    "pixel_features",
    "precision_recall",
    "top_accuracy",
    "weight_sparsity",
    "wilson_interval",
]
