"""The report of a run: every choice with its origin, drawn anew from the folder's files alone."""

import shutil

import pytest

import seewhy
from seewhy.runs.report import choices_of, record_of


@pytest.fixture(scope="module")
def choices(shapes_run):
    rows = choices_of(
        shapes_run.spec, shapes_run.request, (shapes_run.folder / "spec.toml").read_text(encoding="utf-8")
    )
    return {row.name: row for row in rows}


def test_every_field_is_a_choice_asked_for_or_not(choices, shapes_run):
    paths = {path.removesuffix(".name") if path.count(".") == 2 else path for path in shapes_run.spec.flat()}
    assert set(choices) == paths
    asked = {name for name, row in choices.items() if row.asked}
    wanted = {"train.epochs", "model.width", "train.batch_size", "train.precision", "train.threads", "reg.dropout"}
    assert asked == wanted
    assert all(not choices[name].reason for name in asked)


def test_what_was_chosen_says_why(choices):
    assert choices["model.name"].value == "convnet"
    assert choices["model.name"].reason == "images of up to 64 px"
    assert choices["data.resolution"].reason == "the images' own size"
    assert choices["train.device"].reason == "this machine"
    assert choices["model.activation"].value == "silu"
    assert choices["reg.l1"].reason == ""


def test_report_is_drawn_anew_in_place(shapes_run):
    (shapes_run.folder / "report.html").unlink()
    path = shapes_run.report()
    assert path == shapes_run.folder / "report.html"
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    for shown in (
        "Test accuracy",
        "Training images",
        "images of up to 64 px",
        "square",
        "mistake" if _mistakes(shapes_run) else "",
    ):
        assert shown in page


def _mistakes(run):
    return run.record["mistakes"]


def test_a_report_that_was_moved_says_when_the_run_was(shapes_run, tmp_path):
    before = record_of(shapes_run).created
    shutil.copytree(shapes_run.folder, tmp_path / "moved")
    record = record_of(seewhy.Run(tmp_path / "moved"))
    assert record.created == before
    assert record.run_name == "moved"
    assert record.command == f"seewhy train --spec {tmp_path / 'moved'}"


def test_mistakes_are_the_most_confident_ones_and_lost_images_are_left_out(shapes_run, tmp_path):
    shutil.copytree(shapes_run.folder, tmp_path / "run")
    run = seewhy.Run(tmp_path / "run")
    mistakes = run.record["mistakes"]
    confidences = [row["confidence"] for row in mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert all(row["true"] != row["predicted"] for row in mistakes)
    wrong = round((1 - run.results["test"]["accuracy"]) * run.results["test"]["n"])
    assert len(mistakes) == min(24, wrong) > 0
    (run.folder / mistakes[0]["file"]).unlink()
    assert len(record_of(run).evaluation.mistakes) == len(mistakes) - 1
    assert run.report().is_file()


def test_files_outside_the_folder_are_not_shown(shapes_run, tmp_path):
    import json

    shutil.copytree(shapes_run.folder, tmp_path / "run")
    (tmp_path / "secret.png").write_bytes(next((shapes_run.folder / "samples").glob("*.png")).read_bytes())
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    record["mistakes"] = [{**record["mistakes"][0], "file": "../secret.png"}]
    (tmp_path / "run" / "record.json").write_text(json.dumps(record))
    assert record_of(seewhy.Run(tmp_path / "run")).evaluation.mistakes == []


def test_a_model_card_is_written_with_the_report(shapes_run):
    card = (shapes_run.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    n = shapes_run.results["test"]["n"]
    assert f"of {n:,} images" in card
    assert "square" in card
    assert f"{shapes_run.facts.train_images:,} for training" in card
    assert f"{len(shapes_run.checks)} checks of the training" in card
    assert str(shapes_run.folder) not in card
    assert shapes_run.spec.source not in card
