"""A model card says what the record says, and shows the names of strangers as text."""

from dataclasses import replace

import pytest
import yaml
from reporting_health import finding
from reporting_records import evaluation, report

from seewhy.core.findings import CheckOutcome
from seewhy.reporting import Health, ModelCard, render_model_card
from seewhy.reporting.model_card import plain

HOSTILE = "<script>a</script>|`*[x](y)*\n# heading\n---\nlicense: none"


def card(**changes):
    values = {
        "report": report(),
        "model": "convnet",
        "predicts": True,
        "dataset": "digits",
        "data": [("Images", "1,375 for training")],
        "results": {"test": {"accuracy": 0.8}},
        "figures": ["test accuracy 80.00% [75.00%, 85.00%] of 269 images"],
        "classes": [f"class {k}" for k in range(10)],
        "training": [("Machine", "EPYC")],
        "version": "0.1.0",
    }
    return ModelCard(**{**values, **changes})


def head_of(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_head_is_what_hubs_read():
    head = head_of(render_model_card(card()))
    assert head["pipeline_tag"] == "image-classification"
    [result] = head["model-index"][0]["results"]
    assert result["dataset"]["name"] == "digits"
    assert result["metrics"] == [{"type": "accuracy", "value": pytest.approx(evaluation().accuracy, abs=1e-6)}]


def test_figures_stand_with_their_intervals_and_what_limits_them():
    rare = evaluation(n=60)
    text = render_model_card(card(report=report(evaluation=rare), results={"val": {}}))
    assert "\\[75.00%, 85.00%\\] of 269 images" in text
    assert "No test split was measured" in text
    assert "Fewer than 30 test images show class 0" in text
    worst = min(rare.per_class, key=lambda row: row["recall"])
    assert f"recognised least often: {worst['class']} ({100 * worst['recall']:.1f}% of {worst['n']})" in text
    assert "The training was not watched." in text


def test_findings_are_named_with_their_remedies():
    checks = [CheckOutcome("dead_units", "found"), CheckOutcome("a", "passed"), CheckOutcome("b", "passed")]
    past = replace(finding("loss_oscillates"), ended=40)
    health = Health(steps=100, findings=[finding()], past=[past], checks=checks)
    text = render_model_card(card(report=report(health=health)))
    assert "3 checks of the training: 1 found, 2 passed." in text
    assert "- **warning** `dead_units`, step 20: 90% of the 64 units" in text
    assert "Remedy: lower the learning rate." in text
    assert "`loss_oscillates`, step 20 to 40" in text
    assert "Watching its training found 1 problem that lasted" in text


def test_names_of_strangers_are_text():
    classes = [HOSTILE, *(f"class {k}" for k in range(1, 10))]
    hostile = report(
        title=HOSTILE, evaluation=evaluation(classes=classes), notes=[HOSTILE], audit=[{"message": HOSTILE}]
    )
    text = render_model_card(card(report=hostile, dataset=HOSTILE, classes=classes, data=[("Name", HOSTILE)]))
    head = head_of(text)
    assert "license" not in head
    assert head["model-index"][0]["results"][0]["dataset"]["name"].startswith("<script>")
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body
    assert "\n# heading" not in body
    assert [line for line in body.splitlines() if line.startswith("| Name")] == [f"| Name | {plain(HOSTILE)} |"]
    assert "[x](y)" not in body


def test_a_generative_model_makes_images():
    text = render_model_card(card(report=report(evaluation=None), predicts=False, classes=[], figures=[]))
    assert head_of(text)["pipeline_tag"] == "unconditional-image-generation"
    assert "makes images" in text
    assert "Every image is given one of the classes" not in text
    assert "may repeat training images" in text
    assert "may repeat training images" not in render_model_card(card())
