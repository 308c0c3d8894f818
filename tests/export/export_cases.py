"""Shared by the tests of export: files as functions, their metadata and pages, images."""

import json
import re
import warnings

import numpy as np
import torch


def onnx_function(file):
    """Return the file as a function of arrays to its first output, by onnxruntime alone."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0]


def torch_function(file):
    """Return the file as a function of arrays to its first output, by torch alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(file).module()

    def call(*arrays):
        found = module(*map(torch.from_numpy, arrays))
        return (found[0] if isinstance(found, (tuple, list)) else found).numpy()

    return call


FUNCTIONS = {"onnx": onnx_function, "torch": torch_function}


def metadata(file):
    """Return the metadata of an ONNX file."""
    import onnx

    return {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}


def block(page):
    """Return the lines of Python of a page."""
    return re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)[1]


def picture(height, width, channels, seed=0):
    """Return a smooth image with an edge, uint8 (H, W, C)."""
    y, x = np.mgrid[0:height, 0:width]
    rng = np.random.default_rng(seed)
    planes = [128 + 100 * np.sin(x / rng.uniform(3, 30) + y / rng.uniform(3, 30)) for _ in range(channels)]
    image = np.stack(planes, -1).astype(np.uint8)
    image[:, width // 2 :] //= 2
    return image
