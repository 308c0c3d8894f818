"""Autoregressive models of rasters: sequences, images, clips (van den Oord et al. 2016, 1601.06759)."""

from seewhy.models.autoregressive.build import AUTOREGRESSIVE, build_autoregressive
from seewhy.models.autoregressive.design import AutoregressiveDesign
from seewhy.models.autoregressive.loss import log_likelihood
from seewhy.models.autoregressive.networks import DiagonalBiLSTM, GatedPixelCNN, PixelCNN, RowLSTM
from seewhy.models.autoregressive.raster_generator import RasterGenerator
from seewhy.models.autoregressive.sampling import cursor_of, sample_raster

__all__ = [
    "AUTOREGRESSIVE",
    "AutoregressiveDesign",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "PixelCNN",
    "RasterGenerator",
    "RowLSTM",
    "build_autoregressive",
    "cursor_of",
    "log_likelihood",
    "sample_raster",
]
