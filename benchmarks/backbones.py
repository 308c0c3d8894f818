"""Eight backbones of different kinds, with weights drawn at random: every regime trains, goes on bit for bit after a stop, and is exported.

    python benchmarks/backbones.py [NAME ...] [--regimes linear,finetune] [--exports finetune] [--images 24] [--side 64] [--out results.json]

Of each backbone a file of random weights is written, as a pretrained one would be. A run of each regime is trained on parts of two photographs
of scikit-learn, once as a whole, and once stopped in the middle and gone on with; all tensors and all predicted probabilities must be equal.
The first is written as ONNX, whose parity with the run is measured before the file gets its name. One thread; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from machine import basis, hardware
from sklearn.datasets import load_sample_image

import seewhy
from seewhy.core.errors import RunError
from seewhy.core.seeding import rng
from seewhy.models.pretrained import make_body, record_of

BACKBONES = {
    "resnet10t": "ResNet",
    "convnext_atto": "ConvNeXt",
    "efficientnet_lite0": "EfficientNet",
    "mobilenetv3_small_050": "MobileNet",
    "vit_tiny_patch16_224": "ViT",
    "swin_tiny_patch4_window7_224": "Swin",
    "regnetx_002": "RegNet",
    "fastvit_t8": "FastViT",
}
"""Small architectures of timm, by kind."""

REGIMES = ("nearest_mean", "linear", "finetune", "full")

BATCH, EPOCHS = 8, 2


def photographs(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return parts of two photographs, [2 count, side, side, 3], and which they are of."""
    images, generator = [], np.random.default_rng(0)
    for name in ("china.jpg", "flower.jpg"):
        whole = load_sample_image(name)
        for _ in range(count):
            top, left = (int(generator.integers(size - side)) for size in whole.shape[:2])
            images.append(whole[top : top + side, left : left + side])
    return np.stack(images), np.repeat(["china", "flower"], count)


def write_weights(name: str, side: int, path: Path) -> int:
    """Write a file of random weights; returns how many they are."""
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng(0, name))))
        body, _ = make_body(record_of("timm", name), side)
    for module in body.modules():  # as after some training: statistics that are not 0 and 1
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1, generator=rng(0, "mean"))
            module.running_var.uniform_(0.5, 1.5, generator=rng(0, "variance"))
    state = {key: value.contiguous() for key, value in body.state_dict().items()}
    safetensors.torch.save_file(state, str(path))
    return sum(value.numel() for value in state.values())


def tensors(run: seewhy.Run) -> dict[str, torch.Tensor]:
    """Return all weights of the last checkpoint and the probabilities of the evaluated splits."""
    place = run.folder / "checkpoint"
    place /= json.loads((place / "last.json").read_text())["folder"]
    found: dict[str, torch.Tensor] = {}
    for file in place.glob("*.safetensors"):
        found |= {f"{file.stem}/{name}": value for name, value in safetensors.torch.load_file(str(file)).items()}
    for file in (run.folder / "predictions").glob("*.npz"):
        found[file.stem] = torch.from_numpy(np.load(file)["probabilities"])
    return found


def different(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    """Return the names of what is not the same to the bit."""
    return [
        name
        for name in {*one, *other}
        if name not in one or name not in other or not torch.equal(one[name], other[name])
    ]


def one_regime(
    name: str, regime: str, weights: Path, data: Any, side: int, place: Path
) -> tuple[seewhy.Run, dict[str, Any]]:
    """Train, stop and go on; returns the run and the figures."""
    options: dict[str, Any] = {
        "model": "timm",
        "model.backbone": name,
        "model.weights": "none" if regime == "full" else str(weights),
        "model.regime": regime,
        "model.input_size": side,
        "batch_size": BATCH,
        "epochs": float(EPOCHS),
        "precision": "fp32",
        "train.threads": 1,
        "data.val_fraction": 0.2,
        "watch": False,
    }
    begun = time.perf_counter()
    run = seewhy.train(data, out=place / "whole", **options)
    seconds = time.perf_counter() - begun
    calls: list[None] = []

    def halfway() -> bool:
        calls.append(None)
        return len(calls) == 3

    try:
        seewhy.train(data, out=place / "parts", stop=halfway, **options)
        raise AssertionError("the run was not stopped")
    except RunError:
        pass
    again = seewhy.resume(place / "parts", watch=False)
    unequal = different(tensors(run), tensors(again))
    return run, {
        "backbone": name,
        "kind": BACKBONES[name],
        "regime": regime,
        "train_seconds": seconds,
        "unequal": unequal,
    }


def export(run: seewhy.Run, place: Path) -> dict[str, Any]:
    """Write a run as ONNX; returns the figures."""
    begun = time.perf_counter()
    done = run.export("onnx", place / "model.onnx")
    return {
        "export_seconds": time.perf_counter() - begun,
        "megabytes": done.file.stat().st_size / 1e6,
        "dp": done.parity.probability,
        "levels": done.parity.levels,
        "top1_different": done.parity.different,
        "images": done.parity.inputs,
    }


def main() -> int:
    """Run what is asked for, and print a line each as it ends; the exit code is 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BACKBONES)} (default: all)")
    parser.add_argument("--regimes", default=",".join(REGIMES), help="default: all")
    parser.add_argument("--exports", default=",".join(REGIMES), help="regimes whose runs are exported (default: all)")
    parser.add_argument("--images", type=int, default=24, help="of each photograph")
    parser.add_argument("--side", type=int, default=64, help="pixels of the images and of the backbone's input")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    unknown = [
        *({*options.names} - {*BACKBONES}),
        *({*options.regimes.split(","), *options.exports.split(",")} - {*REGIMES}),
    ]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    torch.set_num_threads(1)
    print(hardware())
    print("| kind | backbone | weights | regime | trained, s | went on | ONNX, s | MB | largest dp | top-1 |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    data, rows, begun = photographs(options.images, options.side), [], time.perf_counter()
    for name in options.names or BACKBONES:
        with tempfile.TemporaryDirectory() as folder:
            count = write_weights(name, options.side, Path(folder) / "weights.safetensors")
            for regime in options.regimes.split(","):
                place = Path(folder) / regime
                place.mkdir()
                run, row = one_regime(name, regime, Path(folder) / "weights.safetensors", data, options.side, place)
                exported = export(run, place) if regime in options.exports.split(",") else {}
                rows.append({**row, "weights": count, **exported})
                print(line(rows[-1]), flush=True)
    print(f"{len(rows)} runs in {time.perf_counter() - begun:.0f} s")
    if options.out is not None:
        options.out.write_text(json.dumps(basis() | {"rows": rows}, indent=2) + "\n", encoding="utf-8")
    return int(any(row["unequal"] or row.get("top1_different") for row in rows))


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    went_on = "bit-equal" if not row["unequal"] else f"{len(row['unequal'])} differ"
    head = f"| {row['kind']} | {row['backbone']} | {row['weights'] / 1e6:.1f} M | {row['regime']} | {row['train_seconds']:.1f} | {went_on} | "
    if "dp" not in row:
        return f"{head}– | – | – | – |"
    same = f"{row['images'] - row['top1_different']}/{row['images']}"
    return f"{head}{row['export_seconds']:.1f} | {row['megabytes']:.1f} | {row['dp']:.1e} | {same} |"


if __name__ == "__main__":
    sys.exit(main())
