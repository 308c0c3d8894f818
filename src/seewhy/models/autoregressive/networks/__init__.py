"""Networks that give the logits of all values of a raster at once, each from the values before it."""

from seewhy.models.autoregressive.networks.diagonal_bilstm import DiagonalBiLSTM
from seewhy.models.autoregressive.networks.gated_pixelcnn import GatedPixelCNN
from seewhy.models.autoregressive.networks.pixelcnn import PixelCNN
from seewhy.models.autoregressive.networks.row_lstm import RowLSTM

__all__ = ["DiagonalBiLSTM", "GatedPixelCNN", "PixelCNN", "RowLSTM"]
