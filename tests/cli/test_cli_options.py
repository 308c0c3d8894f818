"""Options are the fields of the specification: help lists those of the model and optimiser at hand, edits change what was asked for."""

import csv
import re

import pytest
from safetensors.torch import load_file

from seewhy.cli.main import run
from seewhy.spec import Request, RunSpec, family_of
from seewhy.spec.optimizers import OPTIMIZERS
from seewhy.spec.section import groups_of, name_of
from seewhy.spec.sections import DataSection

VAE = {
    *("name", "conditional", "levels", "binarise", "latent_dim", "architecture", "likelihood", "width", "depth"),
    *("beta", "free_bits", "kl_warmup", "samples", "activation"),
}
"""What a VAE takes, written by hand."""

SHARED = {"name", "schedule", "warmup", "lr"}


@pytest.fixture(scope="module")
def default_run(tmp_path_factory, shapes):
    """A run of which nothing was asked but its length, in fp32."""
    folder = tmp_path_factory.mktemp("options") / "run"
    assert run(["train", str(shapes), "--epochs", "1", "--precision", "fp32", "--out", str(folder), "--quiet"]) == 0
    return folder


def printed_help(capsys, *arguments):
    """Return the sections of the help of `seewhy train`, and the dotted names of the options by section."""
    with pytest.raises(SystemExit) as stop:
        run(["train", *arguments, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    listed = {}
    for name in re.findall(r"^  (?:-.*, )?--([a-z]+\.[a-z0-9.-]+)", text, flags=re.M):
        section, _, field = name.replace("-", "_").partition(".")
        assert field not in listed.setdefault(section, []), f"--{name} is listed twice"
        listed[section].append(field)
    return text, {section: set(fields) for section, fields in listed.items()}


def refused(arguments, capsys):
    assert run(arguments) == 2
    return capsys.readouterr().err


def plan(arguments, capsys):
    """Return the lines of the plan of a dry run."""
    assert run(["train", *arguments, "--dry-run"]) == 0
    lines = [line.strip().split("  ", 1) for line in capsys.readouterr().err.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def names_of(record):
    """Return the fields of a section as options; those of a group below its own name."""
    names = set()
    for field, info in record.model_fields.items():
        groups = groups_of(info.annotation)
        names |= {field, *(f"{field}.{inner}" for g in groups for inner in g.model_fields if inner != g.lead)}
    return names


def test_help_lists_what_a_vae_takes_and_nothing_else(capsys):
    family = family_of("vae")
    sections = family.sections("vae")
    assert set(sections["model"].model_fields) == VAE
    text, listed = printed_help(capsys, "--model", "vae")
    assert listed["model"] == names_of(sections["model"])
    assert listed["reg"] == names_of(sections["reg"])
    assert listed["train"] == names_of(sections["train"])
    assert listed["data"] == names_of(DataSection)
    assert listed["optim"] == {*SHARED, "weight_decay", "betas", "eps"}  # Adam's, which its family chooses
    assert "ensemble" not in listed
    for word in ("stem", "stochastic-depth", "dropout", "label-smoothing", "mixup", "tta", "critic-steps", "kernel"):
        assert word not in text
    assert "Units of a layer, or features of a map." in text  # and not what a convnet's width is


def test_help_lists_the_fields_of_the_optimiser_that_is_named(capsys):
    searching = {*SHARED, "history", "line_search", "c1", "c2"}
    for words in (["--optimizer", "lbfgs"], ["--optim.name=lbfgs"]):
        assert printed_help(capsys, *words)[1]["optim"] == searching
    for record in OPTIMIZERS:
        assert printed_help(capsys, "--optimizer", name_of(record))[1]["optim"] == set(record.model_fields)


def test_help_without_a_model_is_of_classifiers(capsys):
    text, listed = printed_help(capsys)
    assert {"stem", "pool", "norm.groups", "activation.pieces", "stochastic_depth"} <= listed["model"]
    assert {"dropout", "cutout", "mixup"} <= listed["reg"]
    assert "members" in listed["ensemble"]
    assert "latent-dim" not in text


def test_a_name_that_there_is_not_does_not_stop_help(capsys):
    text, _ = printed_help(capsys, "--model", "vea")
    assert "--model.stem" in text


def test_another_optimiser_forgets_what_was_the_formers(default_run, capsys):
    lines = plan(["--spec", str(default_run / "spec.toml")], capsys)
    assert lines["optimiser"].startswith("muon, learning rate ")
    lines = plan(["--spec", str(default_run / "spec.toml"), "--optimizer", "adam"], capsys)
    assert lines["optimiser"].startswith("adam, learning rate 0.002 (one_cycle)")


def test_another_model_brings_its_own_defaults(default_run, capsys):
    lines = plan(["--spec", str(default_run / "spec.toml"), "--model", "mlp"], capsys)
    assert lines["network"].startswith("mlp, relu, batch norm, width 512, depth 2:")
    assert "stem" not in lines["network"]
    assert lines["augmentation"] == "alternating flips"  # no crop: an mlp looks at fixed positions
    assert lines["budget"].startswith("1 epoch, about")  # what was asked for stays


def test_without_normalisation_the_optimiser_follows(default_run, capsys):
    lines = plan(["--spec", str(default_run / "spec.toml"), "--model.norm", "none"], capsys)
    assert lines["optimiser"].startswith("adamw, learning rate 0.002 (one_cycle)")


@pytest.mark.parametrize("start", ["", "spec.toml"])
def test_a_run_without_edits_is_repeated_bit_for_bit(start, default_run, tmp_path, capsys):
    again = tmp_path / "again"
    assert run(["train", "--spec", str(default_run / start), "--out", str(again), "--quiet"]) == 0
    weights = [
        load_file(next((folder / "checkpoint").glob("step-*/model.safetensors"))) for folder in (default_run, again)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    specs = [RunSpec.from_toml(folder / "spec.toml") for folder in (default_run, again)]
    assert specs[0] == specs[1]
    rows = [list(csv.DictReader((folder / "metrics.csv").read_text().splitlines())) for folder in (default_run, again)]
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert [row[name] for row in rows[0]] == [row[name] for row in rows[1]]
    assert (default_run / "results.json").read_text() == (again / "results.json").read_text()


def test_an_edit_changes_what_was_asked_for_and_is_kept_with_the_run(default_run, shapes, tmp_path):
    folder = tmp_path / "edited"
    command = ["train", "--spec", str(default_run), "--width", "4", "--optimizer", "adam"]
    assert run([*command, "--out", str(folder), "--quiet"]) == 0
    request = Request.from_toml(folder / "request.toml")
    assert request.source == str(shapes)
    assert request.values == {
        "model": {"width": 4},
        "optim": {"name": "adam"},
        "train": {"epochs": 1, "precision": "fp32"},
    }
    text = (folder / "spec.toml").read_text()
    assert "width = 4  # asked" in text
    assert "lr = 0.002  # chosen" in text


def test_default_takes_back_what_was_asked_for(default_run, capsys):
    lines = plan(["--spec", str(default_run), "--precision", "bf16", "--width", "4"], capsys)
    assert "width 4" in lines["network"]
    assert ", bf16," in lines["hardware"]
    lines = plan(["--spec", str(default_run), "--width", "default", "--epochs", "default", "--lr", "default"], capsys)
    assert "width 64" in lines["network"]
    assert not lines["budget"].startswith("1 epoch,")


def test_a_field_of_another_model_is_refused_with_the_model_that_has_it(capsys):
    def message(*words):
        return refused(["train", "digits", *words], capsys)

    assert message("--model", "vae", "--model.stem", "small") == (
        "seewhy train: model.stem: belongs to convnet, resnet, but model.name is 'vae'; "
        "choose one of those or leave this out\n"
    )
    assert "model.beta: belongs to vae, but model.name is left to the defaults" in message("--model.beta", "2")
    assert "model.critic_steps: belongs to gan, but" in message("--model", "vae", "--model.critic-steps", "2")
    assert "optim.momentum: belongs to muon, momentum, nesterov, rmsprop, but optim.name is 'adam'" in message(
        "--optimizer", "adam", "--optim.momentum", "0.5"
    )
    assert "model.activation.alpha: belongs to elu, but model.activation is 'relu'" in message(
        "--activation", "relu", "--model.activation.alpha", "2"
    )
    assert "reg.mixup: belongs to classifiers, pretrained, custom, but model.name is 'gan'" in message(
        "--model", "gan", "--reg.mixup", "1"
    )


def test_everything_that_is_wrong_is_said_at_once(capsys):
    words = ["--lr", "-1", "--epochs", "0", "--reg.mixup", "1", "--reg.cutmix", "1", "--reg.cutout", "3"]
    message = refused(["train", "digits", *words, "--reg.erasing", "0.3", "--activation", "rellu"], capsys)
    lines = message.removeprefix("seewhy train: ").splitlines()
    assert len(lines) == 5
    for start in ("optim.lr: must be", "train.epochs: must be", "model.activation: 'rellu' is not known"):
        assert sum(line.startswith(start) for line in lines) == 1
    assert "reg.cutout, reg.erasing: both erase a region of the image; choose one" in lines
    assert "reg.mixup, reg.cutmix: both mix pairs of images; choose one" in lines


def test_the_fields_of_choices_can_be_typed(shapes, tmp_path):
    words = ["--model.activation", "maxout", "--model.activation.pieces", "3", "--model.norm.init", "identity"]
    words += ["--reg.cutout", "8", "--train.initial-resolution", "12", "--optimizer", "rmsprop", "--optim.alpha", "0.8"]
    folder = tmp_path / "run"
    words += ["--width", "4", "--epochs", "1", "--precision", "fp32"]
    assert run(["train", str(shapes), *words, "--out", str(folder), "--quiet"]) == 0
    spec = RunSpec.from_toml(folder / "spec.toml")
    assert spec.model.activation.options() == {"pieces": 3, "keep_parameters": False}
    assert spec.model.norm.init == "identity"
    assert spec.reg.cutout.size == 8
    assert spec.train.initial_resolution == 12
    assert spec.optim.settings() == {"lr": 0.001, "weight_decay": 0.0, "alpha": 0.8, "momentum": 0.0, "eps": 1e-8}


@pytest.mark.parametrize(
    ("command", "missing"),
    [("completion", "{bash,zsh,fish}"), ("generate", "{sample,complete,decode,reconstruct,interpolate,traverse}, RUN")],
)
def test_what_may_be_left_out_is_not_asked_for(command, missing, capsys):
    with pytest.raises(SystemExit) as ended:
        run([command])
    assert ended.value.code == 2
    assert f"the following arguments are required: {missing}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 0, ""),
        (["techniques", "relu"], 0, ""),
        (["train"], 2, "source: is required"),
        (["train", "digits", "--model", "vea"], 2, "did you mean 'vae'?"),
        (["train", "--resume", "{run}", "--dry-run"], 2, "--resume: goes on with the run's own specification"),
        (["generate", "sample", "{run}", "--out", "{run}/x.png"], 2, "cannot sample images; that is for pixelcnn"),
        (
            ["evaluate", "{run}", "--generated", "500"],
            2,
            "cannot have the quality of its samples measured; that is for",
        ),
        (["predict", "{run}", "{bad}"], 1, "no prediction for 1 of 1 images"),
        (
            ["train", "--spec", "{run}", "--optimizer", "sgd", "--lr", "1e30", "--model.norm", "none", "--epochs", "2"],
            1,
            "not finite",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_exit_codes(words, code, message, default_run, tmp_path, monkeypatch, capsys):
    """0 done, 2 the user's input is wrong, 1 anything else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_text("no image")
    places = {"run": default_run, "bad": tmp_path / "bad.png"}
    assert run([word.format(**places) for word in words]) == code
    assert message in capsys.readouterr().err


def test_a_run_folder_of_the_old_form_is_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "spec.toml").write_text('source = "digits"\n[model]\nname = "convnet"\nstem = "whitening"\n')
    for words in (
        ["evaluate", str(tmp_path)],
        ["train", "--resume", str(tmp_path)],
        ["train", "--spec", str(tmp_path)],
    ):
        message = refused(words, capsys)
        assert message.count("\n") == 1
        assert "is a run of format 1, but this version of seewhy reads format 2" in message


def test_another_name_starts_its_section_afresh_but_keeps_the_schedule(shapes, tmp_path, capsys):
    spec = tmp_path / "mine.toml"
    spec.write_text(
        f'source = "{shapes}"\n[model]\nname = "mlp"\nwidth = 8\nactivation = {{ name = "elu", alpha = 2.0 }}\n'
        '[optim]\nname = "adam"\nlr = 0.3\nbetas = [0.5, 0.9]\nschedule = "cosine"\n[train]\nminutes = 3.0\n'
    )
    lines = plan(["--spec", str(spec)], capsys)
    assert lines["network"].startswith("mlp, elu, batch norm, width 8,")
    assert lines["optimiser"].startswith("adam, learning rate 0.3 (cosine)")
    edits = ["--model", "convnet", "--optimizer", "sgd", "--epochs", "2"]
    lines = plan(["--spec", str(spec), *edits], capsys)
    assert lines["network"].startswith("convnet, silu, batch norm, width 64,")
    assert lines["optimiser"].startswith("sgd, learning rate 0.1 (cosine)")
    assert lines["budget"].startswith("2 epochs")
