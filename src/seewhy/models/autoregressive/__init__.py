"""Autoregressive models of rasters: sequences, images, clips (van den Oord et al. 2016, 1601.06759)."""
