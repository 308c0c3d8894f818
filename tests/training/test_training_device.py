"""What can be seen of training on a GPU without one: a step runs on the meta device, which has no values that the host could wait for.

Whatever would read a value there fails by itself (`item`, `nonzero`, masks, copies to the host); what mixes devices, or copies to the device
while the host waits, is refused here. The one read of a step, its metrics (`seewhy.training.step.summed`), is left out.
"""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seewhy.data import Augment, Cutout, Mix, RandomErasing, ResizedCrop
from seewhy.spec import build_request
from seewhy.training import loop, state
from seewhy.training.build import make_job, prepare
from seewhy.training.job import Progress

META = torch.device("meta")
READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique_dim", "_unique2")
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class OneDevice(TorchDispatchMode):
    """Refuses reads of values, operations on tensors of several devices, but for numbers, and copies for which the host waits."""

    def __init__(self, device=META):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        reads = func.overloadpacket.__name__ in READS and args[0].device == self.device
        assert not reads, f"{func} waits for a value"
        result = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors if tensor.dim()}
        if len(devices) > 1:
            waits = func not in COPIES or not kwargs.get("non_blocking", len(args) > 2 and args[2])
            assert not waits, f"{func} of tensors on {sorted(devices)}"
        return result


class MetaEngine:
    """An engine whose device is the meta device; it has memory for everything."""

    rank, world, is_main = 0, 1, True

    def __init__(self, device):
        self.device = device

    def holds(self, size):
        return size > 0

    def setup(self, model, optimizer):
        return model, optimizer

    def backward(self, loss):
        loss.backward()

    def autocast(self):
        return nullcontext()

    def average_gradients(self, module):
        pass


@pytest.fixture
def take_steps(monkeypatch, tmp_path):
    """Return a function that takes steps of a run on the meta device."""

    def take(source, device=META, steps=2, **options):
        read = []
        monkeypatch.setattr(
            loop, "summed", lambda job, step, update, inputs, sums: read.append(sums) or dict.fromkeys(sums, 0.0)
        )
        monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no meta device
        with state.training():
            prepared = prepare(
                build_request(str(source), None, {"precision": "fp32", "train.threads": 1, "batch_size": 8, **options}),
                lambda _: None,
            )
            prepared = replace(prepared, model=prepared.model.to(device), engine=MetaEngine(device))
            job, progress = make_job(prepared, tmp_path, lambda _: None, None), Progress()
            for group in job.optimizer.param_groups if device == META else ():
                group["fused"] = False  # which the meta device has not
            batches = job.batches(0, 0)
            loop._step(job, progress, next(batches), 0)  # makes tables that later steps find on the device
            with OneDevice(device):
                while progress.step < steps:
                    batch = next(batches)
                    loop._step(job, progress, batch, 0)
                    assert batch.images.device == device
        assert progress.step == steps
        assert all(value.device == device for sums in read for value in sums.values())
        return job

    return take


SMALL = {"width": 8, "depth": 1}
CASES = {
    "mlp": SMALL,
    "convnet": {"width": 8, "ema": 0.9, "dropout": 0.1, "label_smoothing": 0.1, "reg.l2": 1e-4, "reg.max_norm": 2.0},
    "resnet": {"width": 8, "reg.mixup": 0.2},
    "autoencoder": SMALL,
    "vae": {**SMALL, "model.conditional": True},
    "gan": SMALL,
    "pixelcnn": SMALL,
    "gated_pixelcnn": SMALL,
}


@pytest.mark.parametrize("model", CASES)
def test_a_step_of_every_family_reads_nothing_and_stays_on_the_device(model, take_steps):
    take_steps("digits", model=model, **CASES[model])


@pytest.mark.parametrize("model", ["row_lstm", "diagonal_bilstm"])
def test_a_step_of_a_recurrence_reads_nothing(
    model, take_steps
):  # sums with factors, which the meta device cannot write into a tensor
    take_steps("digits", device=torch.device("cpu"), model=model, **SMALL)


@pytest.mark.parametrize("loss", ["minimax", "wasserstein"])
def test_so_does_a_step_of_every_adversarial_loss(loss, take_steps):
    take_steps("digits", model="gan", **SMALL, **{"model.loss": loss})


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "nesterov", "rmsprop", "adagrad"])
def test_so_does_a_step_of_every_first_order_optimiser(optimizer, take_steps):
    take_steps("digits", model="mlp", optimizer=optimizer, **SMALL)


def test_so_does_a_step_of_a_backbone_on_augmented_images(take_steps, shapes):
    backbone = {"model": "timm", "model.backbone": "test_resnet", "model.weights": "none", "model.input_size": 32}
    take_steps(shapes, **backbone, **{"reg.brightness": 0.2, "reg.flip": "random"})


def test_a_read_and_a_tensor_elsewhere_are_found(take_steps, monkeypatch):
    original = loop.forward

    def reads(job, update, inputs):
        result = original(job, update, inputs)
        result.loss.item()
        return result

    monkeypatch.setattr(loop, "forward", reads)
    with pytest.raises((AssertionError, RuntimeError), match=r"waits for a value|item\(\) cannot be called"):
        take_steps("digits", model="mlp", **SMALL)

    def elsewhere(job, update, inputs):
        result = original(job, update, inputs)
        return replace(result, loss=result.loss * torch.ones(3)[inputs.labels % 3].mean())

    monkeypatch.setattr(loop, "forward", elsewhere)
    with pytest.raises((RuntimeError, AssertionError)):
        take_steps("digits", model="mlp", **SMALL)


@pytest.mark.parametrize(
    "augment",
    [
        Augment(crop_padding=2, flip="random", erase=Cutout(size=4, fill=(0.5,))),
        Augment(resized_crop=ResizedCrop(), flip="alternating", erase=RandomErasing()),
        Augment(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
        Mix(alpha=0.2, kind="mixup"),
        Mix(alpha=0.2, kind="cutmix"),
    ],
    ids=["crop", "resized", "colour", "mixup", "cutmix"],
)
def test_augmentation_stays_on_the_device(augment):
    images = torch.zeros(6, 3, 16, 16, dtype=torch.uint8, device=META)
    ids = torch.zeros(6, dtype=torch.int64, device=META)
    with OneDevice():
        if isinstance(augment, Mix):
            found = augment(images, ids, ids, seed=0, epoch=0)
            assert found.targets(3).device == META
        else:
            found = augment(images, ids, seed=0, epoch=0)
            assert found.device == META
