"""How close a training step of the default convnet comes to the speed of its convolutions and matrix products alone.

    python benchmarks/step_speed.py [--batch 500] [--side 32] [--repeats 15] [--threads 2] [--precision bf16]

The step is all of it: gather, augmentation, forward, loss, backward, optimiser. The reference is each convolution and linear layer called by
itself with the step's own shapes, precision and memory format: forward, gradient of the weights, gradient of the input; only those that the
step needs. Both are timed in turns in one process, on random images.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from machine import hardware
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from seewhy import optim
from seewhy.core.seeding import rng
from seewhy.data import Augment
from seewhy.models import Classifier, ClassifierDesign, build_classifier, prepare_classifier
from seewhy.training.fabric import Engine

Call = Callable[[], object]


@dataclass
class Layer:
    """One convolution or linear layer as the step uses it."""

    name: str
    module: nn.Module
    inputs: Tensor
    needs_input_gradient: bool

    def calls(self) -> list[Call]:
        """Return the bare kernels of its forward and backward passes."""
        x, module = self.inputs, self.module
        weight = module.weight.detach().to(x.dtype)
        if isinstance(module, nn.Linear):
            gradient = torch.randn(len(x), len(weight)).to(x.dtype)
            calls: list[Call] = [lambda: x @ weight.T, lambda: gradient.T @ x]
            return [*calls, lambda: gradient @ weight] if self.needs_input_gradient else calls
        weight = weight.contiguous(memory_format=torch.channels_last)
        options = (module.stride, module.padding, module.dilation, False, (0, 0), module.groups)
        y = torch.ops.aten.convolution(x, weight, None, *options)
        gradient = torch.randn(y.shape).to(x.dtype).contiguous(memory_format=torch.channels_last)
        masks = [(self.needs_input_gradient, False, False), (False, module.weight.requires_grad, False)]
        return [
            lambda: torch.ops.aten.convolution(x, weight, None, *options),
            *(
                lambda mask=mask: torch.ops.aten.convolution_backward(gradient, x, weight, None, *options, mask)
                for mask in masks
                if any(mask)
            ),
        ]


class Step:
    """A training step, which can be timed part by part."""

    def __init__(self, batch: int, side: int, precision: str) -> None:
        design = ClassifierDesign(activation="silu", init="dirac")
        net = build_classifier("convnet", in_shape=(3, side, side), classes=10, design=design, rng=rng(0, "weights"))
        self.model = Classifier(net, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
        source = rng(0, "images")
        pool = torch.randint(0, 256, (2 * batch, 3, side, side), dtype=torch.uint8, generator=source)
        self.pool = pool.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 10, (2 * batch,), generator=source)
        prepare_classifier(self.model, self.pool)
        self.optimizer = optim.build("muon", self.model.named_parameters(), lr=0.02)
        self.augment = Augment(crop_padding=2, flip="alternating")
        self.batch, self.precision, self.count = batch, precision, 0
        self.images, self.loss = self.pool[:batch], torch.zeros(())

    def autocast(self):
        """Return the context of the forward pass."""
        return torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def fetch(self) -> None:
        """Gather and augment the next batch."""
        self.count += 1
        sample_ids = torch.randperm(len(self.pool), generator=rng(self.count))[: self.batch]
        self.targets = self.labels[sample_ids]
        self.images = self.augment(self.pool[sample_ids], sample_ids, seed=0, epoch=self.count)

    def forward(self) -> None:
        """Compute the loss."""
        with self.autocast():
            logits = self.model(self.images)
        self.loss = F.cross_entropy(logits, self.targets, label_smoothing=0.2)

    def backward(self) -> None:
        """Compute the gradients."""
        self.loss.backward()

    def update(self) -> None:
        """Update the weights."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def parts(self) -> dict[str, Call]:
        """Return the parts of the step, in order."""
        return {
            "gather, augment": self.fetch,
            "forward, loss": self.forward,
            "backward": self.backward,
            "optimiser": self.update,
        }

    def __call__(self) -> None:
        """Take a whole step."""
        for part in self.parts().values():
            part()

    def layers(self) -> list[Layer]:
        """Run once and record the inputs of every convolution and linear layer."""
        layers: list[Layer] = []
        hooks = []
        for name, module in self.model.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):

                def record(module: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                    dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
                    layers.append(Layer(name, module, inputs[0].detach().to(dtype), inputs[0].requires_grad))

                hooks.append(module.register_forward_pre_hook(record))
        self.fetch()
        self.forward()
        for hook in hooks:
            hook.remove()
        return layers


def timed(call: Call) -> float:
    """Return the call's duration in milliseconds."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def show(name: str, times: list[float], whole: float, images: int) -> None:
    middle = statistics.median(times)
    quarters = statistics.quantiles(times, n=4)
    print(
        f"{name:<40} {middle:9.1f} {quarters[0]:9.1f} - {quarters[2]:<9.1f}{100 * middle / whole:6.1f}% {1e3 * images / middle:11,.0f}"
    )


def rest_by_operation(step: Step, count: int) -> list[tuple[str, float]]:
    """Return the milliseconds per step that each operation but the layers' own takes, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(count):
            step()
    own = ("convolution", "mkldnn", "addmm", "aten::mm", "aten::matmul", "aten::linear")
    rows = [
        (event.key, event.self_cpu_time_total / 1e3 / count)
        for event in record.key_averages()
        if not any(part in event.key for part in own)
    ]
    return sorted(rows, key=lambda row: -row[1])[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    options = parser.parse_args()
    Engine(device="cpu", precision=options.precision, threads=options.threads)  # the settings of a run
    torch.manual_seed(0)
    step = Step(options.batch, options.side, options.precision)
    layers = step.layers()
    calls = {layer.name: layer.calls() for layer in layers}
    wholes, alone = [], []
    parts: dict[str, list[float]] = {name: [] for name in step.parts()}
    each: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(options.repeats + 2):
        milliseconds = {name: timed(part) for name, part in step.parts().items()}
        kernels = {name: sum(timed(call) for call in passes) for name, passes in calls.items()}
        if turn >= 2:  # the first two warm up
            wholes.append(sum(milliseconds.values()))
            alone.append(sum(kernels.values()))
            for name, value in milliseconds.items():
                parts[name].append(value)
            for name, value in kernels.items():
                each[name].append(value)
    whole, images = statistics.median(wholes), options.batch
    print(f"{hardware()}, {options.precision}")
    print(f"convnet, {images} images of {options.side} x {options.side} x 3 in a step, n = {options.repeats} steps\n")
    print(f"{'':<40} {'median ms':>9} {'quartiles':>15} {'of step':>11} {'images/s':>11}")
    show("training step", wholes, whole, images)
    for name, times in parts.items():
        show(f"  {name}", times, whole, images)
    show("its convolutions and products alone", alone, whole, images)
    for name, times in each.items():
        show(f"  {name.removeprefix('net.')}", times, whole, images)
    ratios = [one / other for one, other in zip(alone, wholes, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"\nspeed of the step / speed of its kernels alone: {100 * middle:.1f}% (quartiles {100 * low:.1f} - {100 * high:.1f})"
    )
    print("\nother operations, ms per step:")
    for name, value in rest_by_operation(step, 3):
        print(f"  {name:<44} {value:9.1f}")


if __name__ == "__main__":
    main()
