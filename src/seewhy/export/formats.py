"""The formats of exported files: each writes a graph with its record as bytes, and reads them as a function of arrays.

onnx     ONNX, opset 18, for onnxruntime and others; the record is in its metadata, a JSON value a key
torch    torch's own exported program (.pt2), for torch alone; the record is in its extra file "seewhy.json"
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from seewhy.core.errors import InputError, RunError, unknown_name
from seewhy.models.graph import Graph

OPSET = 18
EXTRA = "seewhy.json"
SCOPES = "pkg.torch.onnx.name_scopes"
"""The metadata of a node that name the modules from which it comes."""

MOST = 1 << 20
"""The most of a free axis."""

Array = NDArray[Any]
Compute = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Inputs by name -> outputs by name."""


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: what users write.
        suffix: of its files.
        needs: packages beside torch.
        write: (program, graph, record) -> the file.
        load: (file, graph) -> what computes it.
    """

    name: str
    suffix: str
    needs: tuple[str, ...]
    write: Callable[[torch.export.ExportedProgram, Graph, Mapping[str, Any]], bytes]
    load: Callable[[bytes, Graph], Compute]

    def validate(self) -> None:
        """Raise InputError where a package is not there."""
        for package in self.needs:
            require(package)


def require(package: str) -> Any:
    """Import a package of the extra; raises InputError where it is not there."""
    try:
        return import_module(package)
    except ImportError:
        raise InputError(
            f"format: onnx needs the package {package}, which is not installed; pip install 'seewhy[export]', or take --format torch"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Run a block without what exporters and converters warn and log of their own insides; what they raise is told."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@torch.no_grad()
def traced(graph: Graph) -> torch.export.ExportedProgram:
    """Return the program of a graph, its free axes free.

    Raises:
        RunError: the network does what cannot be traced.
    """
    free: dict[str, Any] = {}
    shapes = []
    for port in graph.inputs.values():
        names = {axis: name[:-1] for axis, name in enumerate(port.axes) if name.endswith("*")}
        shapes.append({i: free.setdefault(name, torch.export.Dim(name, min=1, max=MOST)) for i, name in names.items()})
    try:
        with quiet():
            program = torch.export.export(graph.module, tuple(graph.examples.values()), dynamic_shapes=tuple(shapes))
    except Exception as error:  # the exporter raises whatever its parts do
        raise RunError(f"the network cannot be exported: {_first_line(error)}") from error
    for node in program.graph.nodes:  # which names files of this machine
        node.meta.pop("stack_trace", None)
    return program


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0][:300]}"


def _write_onnx(program: torch.export.ExportedProgram, graph: Graph, record: Mapping[str, Any]) -> bytes:
    try:
        with quiet():
            exported = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                verbose=False,
            )
            assert exported is not None
            model = exported.model_proto
        _strip(model)
        _name_axes(model, graph)
        put_record(model, record)
        serialised: bytes = model.SerializeToString()
    except Exception as error:  # as above; a file of more than 2 GB is refused here too
        raise RunError(f"the network cannot be exported to ONNX: {_first_line(error)}; try --format torch") from error
    return serialised


def put_record(model: Any, record: Mapping[str, Any]) -> None:
    """Write a record into the metadata of an ONNX model."""
    del model.metadata_props[:]
    for name, value in record.items():
        model.metadata_props.add(key=name, value=json.dumps(value, ensure_ascii=False, allow_nan=False))


def _strip(model: Any) -> None:
    """Remove what the exporter notes of its own work, but for the modules from which nodes come."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        kept = [(entry.key, entry.value) for entry in part.metadata_props if entry.key == SCOPES]
        del part.metadata_props[:]
        for name, value in kept:
            part.metadata_props.add(key=name, value=value)


def _name_axes(model: Any, graph: Graph) -> None:
    """Give the free axes their names, in place of the tracer's symbols."""
    names = {}
    for value in model.graph.input:
        for dim, axis in zip(value.type.tensor_type.shape.dim, graph.inputs[value.name].axes, strict=True):
            if dim.dim_param:
                names[dim.dim_param] = axis.removesuffix("*")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]


def onnx_session(model: bytes | str, threads: int = 0) -> Any:
    """Return a session of onnxruntime on the CPU; 0 threads are as many as there are cores."""
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _load_onnx(data: bytes, graph: Graph) -> Compute:
    session = onnx_session(data, torch.get_num_threads())
    names = list(graph.outputs)
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _write_torch(program: torch.export.ExportedProgram, graph: Graph, record: Mapping[str, Any]) -> bytes:
    del graph
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(program, buffer, extra_files={EXTRA: json.dumps(record, ensure_ascii=False, allow_nan=False)})
    return buffer.getvalue()


def _load_torch(data: bytes, graph: Graph) -> Compute:
    with quiet():
        module = torch.export.load(io.BytesIO(data)).module()

    @torch.no_grad()
    def compute(inputs: Mapping[str, Array]) -> dict[str, Array]:
        found = module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in graph.inputs))
        several = found if isinstance(found, (tuple, list)) else (found,)
        return {name: value.numpy() for name, value in zip(graph.outputs, several, strict=True)}

    return compute


FormatName = Literal["onnx", "torch"]

FORMATS = {
    "onnx": Format("onnx", ".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _load_onnx),
    "torch": Format("torch", ".pt2", (), _write_torch, _load_torch),
}


def format_named(name: str) -> Format:
    """Return a format; raises InputError for one that is not known or whose packages are not there."""
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    FORMATS[name].validate()
    return FORMATS[name]
