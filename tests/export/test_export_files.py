"""What stands in an exported file and on the page beside it, files of less precision, and what is refused."""

import json
import sys
import zipfile

import numpy as np
import pytest
import torch
from export_cases import block, metadata, onnx_function, picture
from PIL import Image

import seewhy
from seewhy.core.errors import InputError
from seewhy.data import load_dataset
from seewhy.export import formats, write
from seewhy.export.classifier import confidence_thresholds
from seewhy.export.onnx_model import OnnxModel
from seewhy.export.reduced import reduced
from seewhy.runs.run import Run
from seewhy.spec import answering

onnx = pytest.importorskip("onnx", reason="the extra seewhy[export] is not installed")


def test_the_metadata_name_classes_thresholds_and_versions(exported, make_run):
    run, record = make_run("ensemble"), metadata(exported("ensemble").file)
    assert record["classes"] == list(run.classes)
    assert record["torch"] == torch.__version__
    assert record["seewhy"]
    assert record["temperature"] == run.record["temperature"] != 1
    assert (record["members"], record["precision"], record["shape"]) == (2, "fp32", [1, 8, 8])
    assert record["accuracy"] == {split: run.results[split]["accuracy"] for split in ("val", "test")}
    predictions = np.load(run.folder / "predictions" / "val.npz")
    confidence, right = (
        predictions["probabilities"].max(1),
        predictions["probabilities"].argmax(1) == predictions["labels"],
    )
    assert record["thresholds"]
    for goal, least in record["thresholds"].items():
        assert right[confidence >= np.float32(least)].mean() >= float(goal)


def test_thresholds_by_hand():
    """Right, right, right, wrong by falling confidence, the last two alike: each goal is reached to the second alone."""
    confidence = torch.tensor([0.9, 0.8, 0.6, 0.6])
    probabilities = torch.stack([confidence, 1 - confidence], 1)
    least = pytest.approx(0.8)
    found = confidence_thresholds(probabilities, torch.tensor([0, 0, 0, 1]))
    assert found == {"0.9": least, "0.95": least, "0.99": least}
    assert confidence_thresholds(probabilities, torch.tensor([1, 1, 1, 1])) == {}


def test_the_free_axes_are_named_and_no_path_of_this_machine_is_told(exported):
    file = exported("mlp").file
    shape = onnx.load(file).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param for dim in shape] == ["batch", "height", "width", "channels"]
    assert onnx.load(file).opset_import[0].version == 18
    assert b".py" not in file.read_bytes()
    archive = zipfile.ZipFile(exported("mlp", "torch").file)
    assert not any(b".py" in archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize(
    ("name", "form"),
    [("mlp", "onnx"), ("mlp", "torch"), ("vae", "onnx"), ("vae", "torch"), ("gan", "onnx"), ("pixelcnn", "onnx")],
)
def test_the_pages_lines_run(exported, make_run, name, form, tmp_path, monkeypatch, capsys):
    done = exported(name, form)
    monkeypatch.chdir(done.file.parent)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8))
    image.save("image.png")
    lines = block(done.readme).replace("image.jpg", "image.png")
    assert "seewhy" not in lines.replace("seewhy.json", "")
    monkeypatch.setitem(sys.modules, "seewhy", None)
    exec(compile(lines, "page", "exec"), {})
    printed = capsys.readouterr().out
    if name == "mlp":
        expected = make_run(name).predict(image)
        assert printed.split()[0] == expected.label
        assert float(printed.split()[1]) == pytest.approx(expected.confidence, abs=0.01)
    else:
        assert printed.startswith(("(", "torch.Size"))
    page = done.readme.read_text()
    assert done.lines()[0] in page


def weights_of(model):
    """Return the types of the weights of 3 x 3 convolutions."""
    return {tensor.data_type for tensor in model.graph.initializer if tensor.dims[2:] == [3, 3]}


def test_eight_bits_tell_the_accuracy_before_and_after(exported, make_run):
    run, done = make_run("convnet"), exported("convnet", precision="int8")
    before, after = done.accuracy
    assert before == pytest.approx(run.results["val"]["accuracy"])
    assert abs(after - before) < 0.2
    assert f"accuracy on the validation split: {before:.2%} in fp32, {after:.2%} as written" in done.readme.read_text()
    assert weights_of(onnx.load(done.file)) == {onnx.TensorProto.INT8}
    said = metadata(done.file)
    assert said["precision"] == "int8"
    assert said["accuracy"] == {"val": after}
    assert said["thresholds"] != metadata(exported("convnet").file)["thresholds"]
    assert done.written.probability > 10 * done.parity.probability
    assert f"largest |dp| {done.written.probability:.1e}" in done.lines()[1]
    split = load_dataset("digits").val
    found = onnx_function(done.file)(split.images(torch.arange(len(split))).permute(0, 2, 3, 1).contiguous().numpy())
    assert after == pytest.approx((found.argmax(1) == split.labels.numpy()).mean())


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_without_validation_images_no_accuracy_is_told(precision, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    options = {"model": "convnet", "width": 8, "epochs": 1, "data.val_fraction": 0.0}
    run = seewhy.train((images, np.arange(24) % 2), out=tmp_path / "run", watch=False, **options)
    done = run.export(precision=precision)
    assert done.accuracy is None
    assert done.lines()[-1] == "accuracy: not measured, for there are no validation images"
    assert metadata(done.file)["accuracy"] == {}


def test_changed_images_measure_no_reduced_file(tmp_path):
    for number, name in enumerate(("a", "b") * 6):
        (tmp_path / "images" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(12, 12, 3, number)).save(tmp_path / "images" / name / f"{number}.png")
    run = seewhy.train(tmp_path / "images", out=tmp_path / "run", watch=False, model="mlp", epochs=1)
    (tmp_path / "images" / "a" / "0.png").unlink()
    with pytest.raises(InputError, match=r"precision: int8 .* have changed since .*; put them back, or export in fp32"):
        run.export(precision="int8")
    assert not list(run.folder.glob("model*"))
    assert run.export().file.exists()


def test_sixteen_bits_are_of_the_network_alone(exported):
    plain = exported("convnet").file
    model = onnx.load_from_string(reduced(plain.read_bytes(), "fp16", load_dataset("digits").train))
    assert weights_of(model) == {onnx.TensorProto.FLOAT16}
    image = picture(300, 400, 3)[None]
    found = onnx_function(model.SerializeToString())(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, onnx_function(plain)(image), atol=0.01)


def test_what_exists_is_not_overwritten(make_run, tmp_path):
    for name in ("model.pt2", "model.pt2.README.md"):
        file = tmp_path / name
        file.write_text("mine")
        with pytest.raises(InputError, match=rf"{name} exists already and is not overwritten"):
            make_run("mlp").export("torch", tmp_path / "model.pt2")
        assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
        file.unlink()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"format": "coreml"}, "format: 'coreml' is not known; allowed: onnx, torch"),
        ("mlp", {"precision": "fp8"}, "precision: 'fp8' is not known; allowed: fp32, fp16, int8"),
        ("mlp", {"format": "torch", "precision": "fp16"}, "fp16 is of ONNX files"),
        ("vae", {"precision": "int8"}, "int8 is for classifiers"),
        ("mlp", {"out": "model.pt"}, "ends in .onnx, got model.pt"),
        ("mlp", {"out": "nowhere/model.onnx"}, "there is no folder"),
    ],
)
def test_bad_options_are_refused_before_any_work(make_run, tmp_path, monkeypatch, name, options, message):
    run = make_run(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run.export(**options)
    assert not list(tmp_path.iterdir())


def test_a_run_that_has_not_ended_is_refused(make_run, tmp_path):
    folder = make_run("mlp").folder
    for name in ("spec.toml", "request.toml", "data.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match="has not ended; seewhy train --resume"):
        Run(tmp_path).export("torch")


def test_the_missing_extra_is_named(make_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(
        InputError, match=r"needs the package onnxscript, .*pip install 'seewhy\[export\]', or take --format torch"
    ):
        make_run("mlp").export("onnx", tmp_path / "model.onnx")
    assert formats.format_named("torch").name == "torch"


def test_a_model_that_cannot_be_exported_is_named(make_run, monkeypatch):
    assert {"vae", "autoencoder", "gan", "pixelcnn", "gated_pixelcnn"} == set(answering("export"))
    monkeypatch.setattr(write, "answering", lambda verb: ("mlp",) if verb == "predict" else ("vae",))
    with pytest.raises(InputError, match="is a run of gan, whose network cannot be exported; those of mlp, vae can"):
        make_run("gan").export()


def test_images_are_predicted_by_onnxruntime(exported, make_run, tmp_path):
    run, model = make_run("convnet"), OnnxModel(exported("convnet").file)
    paths = []
    for number, (mode, size) in enumerate([("RGB", (40, 30)), ("L", (9, 17)), ("RGBA", (8, 8)), ("L", (1, 1))]):
        image = Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size[::-1], 4), dtype=np.uint8))
        image.convert(mode).save(tmp_path / f"{number}.png", exif=_sideways() if number == 0 else None)
        paths.append(str(tmp_path / f"{number}.png"))
    (tmp_path / "4.png").write_bytes(b"no image")
    paths.append(str(tmp_path / "4.png"))
    seen = []
    found = list(model.predict_each(paths, lambda done, total: seen.append((done, total))))
    assert seen[-1] == (5, 5)
    for ours, theirs in zip(found, run.predict(paths), strict=True):
        assert (ours.name, ours.label, ours.error) == (theirs.name, theirs.label, theirs.error)
        if ours.error is None:
            np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=0.01)


def _sideways():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_files_that_are_none_of_ours_are_refused(exported, tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        OnnxModel(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(InputError, match="is no ONNX file"):
        OnnxModel(tmp_path / "model.onnx")
    with pytest.raises(InputError, match="is no classifier"):
        OnnxModel(exported("vae").file)


def test_the_torch_file_holds_its_record(exported):
    extra = {formats.EXTRA: ""}
    with formats.quiet():
        torch.export.load(exported("mlp", "torch").file, extra_files=extra)
    assert json.loads(extra[formats.EXTRA])["classes"] == [str(digit) for digit in range(10)]
