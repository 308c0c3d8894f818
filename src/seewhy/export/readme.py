"""The page beside an exported file: what it is, what it was measured to do, and the lines that use it without seewhy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from seewhy.models.graph import Graph, Port

READ = 'np.asarray(ImageOps.exif_transpose(Image.open("image.jpg")).convert("RGB"))[None]'

CLASSIFIER = {
    "onnx": f"""import json, numpy as np, onnxruntime
from PIL import Image, ImageOps
session = onnxruntime.InferenceSession({{file!r}})
image = {READ}
probabilities = session.run(["probabilities"], {{{{"images": image}}}})[0][0]
print(json.loads(session.get_modelmeta().custom_metadata_map["classes"])[probabilities.argmax()], probabilities.max())
""",
    "torch": f"""import json, numpy as np, torch
from PIL import Image, ImageOps
extra = {{{{"seewhy.json": ""}}}}
network = torch.export.load({{file!r}}, extra_files=extra).module()
image = torch.from_numpy({READ.replace("np.asarray", "np.array")})
probabilities = network(image)[0][0]
print(json.loads(extra["seewhy.json"])["classes"][probabilities.argmax()], float(probabilities.max()))
""",
}

GENERATIVE = {
    "onnx": """import numpy as np, onnxruntime
session = onnxruntime.InferenceSession({file!r})
{inputs}
{output} = session.run([{output!r}], {feed})[0]
print({output}.shape, {output}.dtype)
""",
    "torch": """import torch
network = torch.export.load({file!r}).module()
{inputs}
{output} = network({names})
print({output}.shape, {output}.dtype)
""",
}

OUTSIDE = """What stays outside: decoding, and turning an image upright by its EXIF orientation (as above). `seewhy predict RUN` decodes
large JPEGs at a reduced scale, which saves time and moves pixels by a few levels; this file sees them whole."""


def readme(file: str, form: str, graph: Graph, record: Mapping[str, Any], measured: list[str]) -> str:
    """Return the page, Markdown.

    Args:
        file: its name.
        form: of the file, by name.
        graph: what was exported.
        record: what the file's metadata say.
        measured: parity and accuracy, a line each.
    """
    lines = [
        f"# {file}",
        "",
        f"Model `{record['model']}`, trained by seewhy {record['seewhy']} and exported with torch {record['torch']} in {record['precision']}.",
        "",
        f"```python\n{usage(file, form, graph)}```",
        "",
        *_table("input", graph.inputs),
        "",
        *_table("output", graph.outputs),
        "",
    ]
    if "probabilities" in graph.outputs:
        inside = f"resizing ({record['decode']['fit']}), normalisation, test-time views ({record['views']}), mean of {record['members']} network"
        lines += [
            f"Inside: {inside}{'s' * (record['members'] != 1)}, temperature {record['temperature']:.4g}.",
            "",
            OUTSIDE,
            "",
        ]
        for goal, least in record["thresholds"].items():
            said = f"From a confidence of {least:.3f} on, {float(goal):.0%} of the validation images were classified rightly"
            lines += [f"{said} (`thresholds`).", ""]
    return "\n".join([*lines, "Measured when it was written:", "", *(f"- {line}" for line in measured), ""])


def usage(file: str, form: str, graph: Graph) -> str:
    """Return the lines of Python that use a file."""
    if "probabilities" in graph.outputs:
        return CLASSIFIER[form].format(file=file)
    makers = {name: _maker(form, value) for name, value in graph.examples.items()}
    return GENERATIVE[form].format(
        file=file,
        inputs="\n".join(f"{name} = {maker}" for name, maker in makers.items()),
        output=next(iter(graph.outputs)),
        names=", ".join(makers),
        feed="{" + ", ".join(f'"{name}": {name}' for name in makers) + "}",
    )


def _maker(form: str, value: Tensor) -> str:
    """Return an expression that makes an input of an example's shape: noise, or zeros for classes and levels."""
    shape = ", ".join(map(str, value.shape))
    if value.is_floating_point():
        return f"np.random.randn({shape}).astype(np.float32)" if form == "onnx" else f"torch.randn({shape})"
    return f"np.zeros(({shape},), np.int64)" if form == "onnx" else f"torch.zeros({shape}, dtype=torch.int64)"


def _table(what: str, ports: Mapping[str, Port]) -> list[str]:
    rows = [
        f"| `{name}` | ({', '.join(a.removesuffix('*') for a in port.axes)}) | {port.meaning} |"
        for name, port in ports.items()
    ]
    return [f"| {what} | axes | what it is |", "|---|---|---|", *rows]
