"""Trained networks as one file that needs no seewhy: ONNX, or torch's own program; with what is done to an image inside, parity measured."""
