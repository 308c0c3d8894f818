"""How similar generated images are to real ones, and how many kinds of them there are: measured on features, and named by their extractor."""

from seewhy.metrics.sample_quality.bins import BinCoverage, bin_coverage, kmeans_centres
from seewhy.metrics.sample_quality.coverage import ClassCoverage, class_coverage
from seewhy.metrics.sample_quality.extractor import FeatureExtractor, Features, pixel_features
from seewhy.metrics.sample_quality.format import format_sample_quality
from seewhy.metrics.sample_quality.frechet import FrechetDistance, frechet_distance
from seewhy.metrics.sample_quality.kernel import KernelDistance, kernel_distance
from seewhy.metrics.sample_quality.measure import SampleQuality, Similarity, measure_sample_quality
from seewhy.metrics.sample_quality.neighbours import (
    DensityCoverage,
    Memorisation,
    PrecisionRecall,
    density_coverage,
    memorisation,
    nearest_neighbours,
    precision_recall,
)
from seewhy.metrics.sample_quality.parzen import ParzenLikelihood, parzen_likelihood

__all__ = [
    "BinCoverage",
    "ClassCoverage",
    "DensityCoverage",
    "FeatureExtractor",
    "Features",
    "FrechetDistance",
    "KernelDistance",
    "Memorisation",
    "ParzenLikelihood",
    "PrecisionRecall",
    "SampleQuality",
    "Similarity",
    "bin_coverage",
    "class_coverage",
    "density_coverage",
    "format_sample_quality",
    "frechet_distance",
    "kernel_distance",
    "kmeans_centres",
    "measure_sample_quality",
    "memorisation",
    "nearest_neighbours",
    "parzen_likelihood",
    "pixel_features",
    "precision_recall",
]
