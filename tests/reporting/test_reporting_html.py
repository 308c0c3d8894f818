"""The report's page: structure, escaping, self-containment, degenerate records."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from reporting_page import HOSTILE, Page
from reporting_records import calibrated, choices, evaluation, latent_section, metrics, report

from seewhy.core.errors import InputError
from seewhy.reporting import (
    ChoiceRow,
    EvaluationRecord,
    Frames,
    Mistake,
    Paragraph,
    ReportRecord,
    Section,
    Sheet,
    Table,
    render_report,
)


def cells(text: str) -> str:
    """The page's text with a space where an element starts or ends."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(report()))


def test_the_page_is_one_document_with_its_sections(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html")[0]["lang"] == "en"
    for section in ("curves", "confusion", "mistakes", "classes", "calibration", "data", "repeat"):
        assert section in ids
    linked = [a["href"] for a in page.all("a")]
    assert {f"#{i}" for i in ids} >= set(linked)
    for _, attributes in page.elements:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_the_page_shows_what_was_measured(page: Page) -> None:
    for words in (
        "98.6% [97.5, 99.3]",
        "14 January 2026, 10:15",
        "Validation accuracy was best at epoch 5: 88.0%.",
        "At the end training lies 2.0 percentage points above validation.",
        "seewhy train --spec runs/digits-convnet/spec.toml",
        'source = "digits"',
        "2 images occur twice",
        "cpu:0, cpu:1",
        "packages · numpy",
        "7.0%",
    ):
        assert words in page.words


def test_everything_can_be_reached_and_has_a_name(page: Page) -> None:
    assert len(page.all("img")) == 6
    assert all(image["alt"] for image in page.all("img"))
    drawings = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawings) == 5
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)
    assert all(button["type"] == "button" for button in page.all("button"))
    for _, attributes in page.elements:
        if "scroll" in (attributes.get("class") or "").split():
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


@pytest.mark.parametrize("record", [report(), report(evaluation=evaluation(60, n=900, size=(200, 300, 3)))])
def test_the_page_loads_nothing(record: ReportRecord) -> None:
    text = render_report(record)
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "audio", "video", "source")
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value)
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest|import\(", text)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert "default-src 'none'" in policy
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_users_are_text(name: str, page: Page) -> None:
    hostile_evaluation = evaluation(3, classes=[name, name + "2", "third"], name=name)
    record = report(
        title=name,
        run_name=name,
        created=name,
        summary=[(name, name), ("Parameters", name)],
        command=name,
        python=name,
        evaluation=hostile_evaluation,
        spec_toml=name,
        environment={name: name, "packages": {"numpy": name}, "devices": [name], "commit": None},
        audit=[{"kind": name, "severity": name, "message": name, "paths": [name, name]}],
    )
    text = render_report(record)
    assert not set("\x00\x1f\u202e") & set(text)
    hostile = Page(text.encode("utf-8").decode("utf-8"))
    assert len(hostile.all("script")) == 1
    assert len(hostile.all("img")) == len(page.all("img"))
    ignored = {"wbr", "small", "text", "g", "span"}
    tags = {tag for tag, _ in hostile.elements} - ignored
    assert tags <= {tag for tag, _ in page.elements}
    assert not [n for _, attributes in hostile.elements for n in attributes if n.startswith("on")]
    assert ("{{ 7 * 7 }}" in hostile.words) == ("{{ 7 * 7 }}" in name)


def test_without_an_evaluation_the_page_says_why() -> None:
    page = Page(render_report(report(evaluation=None)))
    assert "This run was not evaluated" in page.words
    assert "#confusion" not in [a["href"] for a in page.all("a")]
    assert not page.all("img")


def test_a_record_of_nothing_renders() -> None:
    page = Page(render_report(ReportRecord(title="Empty", run_name="run", created="")))
    for words in ("No epoch was completed", "This run was not evaluated", "The specification was not recorded"):
        assert words in page.words


def test_a_single_epoch_is_a_point_and_called_one() -> None:
    page = Page(render_report(report(metrics=metrics(1))))
    assert "There is a single epoch: a point, not yet a curve." in page.words
    assert "1 epoch as a table" in page.words


def test_a_loss_that_is_not_finite_is_named_with_its_epoch() -> None:
    broken = [*metrics(3), {"epoch": 4, "train_loss": math.nan, "val_loss": None}]
    text = render_report(report(metrics=broken))
    assert "Loss was not finite (NaN or infinite) at epoch 4" in Page(text).words
    assert "<td>nan</td>" in text
    only = Page(render_report(report(metrics=[{"epoch": 1, "train_loss": math.inf}])))
    assert "No epoch holds a finite metric" in only.words


def test_a_run_without_validation_draws_training_alone() -> None:
    bare = [{key: value for key, value in metric.items() if not key.startswith("val")} for metric in metrics(4)]
    page = Page(render_report(report(metrics=bare)))
    assert "Validation" not in page.words
    assert "Training loss" in page.words


def test_no_mistakes_are_good_news_and_lost_images_are_said() -> None:
    perfect = evaluation(3, mistakes=0)
    perfect.confusion[...] = np.diag([5, 5, 5])
    page = Page(render_report(report(evaluation=perfect)))
    assert "All 15 test images were classified correctly." in page.words
    assert "There are none: every image was classified correctly." in page.words
    assert (
        "No images of the mistakes were saved." in Page(render_report(report(evaluation=evaluation(mistakes=0)))).words
    )


def test_an_evaluation_of_no_images_renders() -> None:
    nothing = evaluation(3, mistakes=0)
    nothing.confusion[...] = 0
    for row in nothing.per_class:
        row.update(n=0, precision=math.nan, recall=math.nan, f1=math.nan)  # type: ignore[attr-defined]
    for bin_ in nothing.calibration:
        bin_["n"] = 0  # type: ignore[index]
    page = Page(render_report(report(evaluation=nothing)))
    assert "No images were evaluated." in page.words
    assert "No bins of confidence were recorded." in page.words


def test_classes_stand_worst_first() -> None:
    record = evaluation(10)
    text = render_report(report(evaluation=record))
    shown = re.findall(r'<th scope="row" title="(class \d)"', text)
    worst = sorted(record.per_class, key=lambda row: row["f1"])  # type: ignore[arg-type,return-value]
    assert shown == [row["class"] for row in worst]


def test_issues_stand_by_severity_with_a_limit_of_paths() -> None:
    audit = [
        {"kind": "mixed_sizes", "severity": "note", "message": "third", "paths": []},
        {"kind": "unreadable", "severity": "error", "message": "first", "paths": [f"p{i}" for i in range(80)]},
        {"kind": "leakage", "severity": "warning", "message": "second", "paths": ["q"]},
    ]
    words = Page(render_report(report(audit=audit))).words
    assert words.index("first") < words.index("second") < words.index("third")
    assert "80 files" in words
    assert "and 30 more" in words
    assert "mixed sizes" in words
    assert "The audit found nothing wrong" in Page(render_report(report(audit=[]))).words


def test_the_calibration_says_no_more_than_the_interval_allows() -> None:
    record = evaluation()
    confidence = (0.35 * 20 + 0.9 * 100) / 120
    for interval, said in (
        ((confidence - 0.1, confidence + 0.1), "95% interval"),
        ((0.72, 0.75), "the classifier is over-confident"),
    ):
        object.__setattr__(record, "interval", interval)
        assert said in Page(render_report(report(evaluation=record))).words


def test_images_of_every_kind_are_shown() -> None:
    kinds = [(8, 8), (8, 8, 1), (32, 32, 3), (200, 300, 3), (1, 400, 3)]
    rng = np.random.default_rng(0)
    images = [Mistake(rng.integers(0, 256, kind, dtype=np.uint8), "a", "b", math.nan, "n") for kind in kinds]
    record = evaluation()
    object.__setattr__(record, "mistakes", images)
    page = Page(render_report(report(evaluation=record)))
    assert [image["class"] for image in page.all("img")] == ["pixelated", "pixelated", "pixelated", "photo", "photo"]


@pytest.mark.parametrize("K", [2, 20, 40, 100, 1000])
def test_pages_stay_light_and_quick_from_few_classes_to_many(K: int) -> None:
    record = report(evaluation=evaluation(K, n=20 * K, mistakes=24, size=(160, 160, 3)), metrics=metrics(200))
    start = time.perf_counter()
    text = render_report(record)
    assert len(text) < 1_500_000
    assert time.perf_counter() - start < 20, "a report takes about a second; this is for hangs"
    Page(text)


def test_records_can_be_made_without_loading_the_figures() -> None:
    code = "import sys, seewhy.reporting as r; r.ReportRecord; assert not {'altair', 'vl_convert', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_room_is_an_attribute_error() -> None:
    import seewhy.reporting

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seewhy.reporting.nothing  # type: ignore[attr-defined]
    for name in seewhy.reporting.__all__:
        assert getattr(seewhy.reporting, name)


def test_sections_of_a_family_stand_after_the_curves_in_order_and_in_the_navigation() -> None:
    sections = [latent_section(), Section("Data", [Paragraph("its own data")]), latent_section()]
    page = Page(render_report(report(sections=sections, evaluation=None, choices=choices())))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    expected = ["curves", "generated-images", "data-2", "generated-images-2", "data", "choices", "repeat"]
    assert [section["id"] for section in page.all("section")] == expected
    assert [a["href"] for a in page.all("a")][1:] == [f"#{name}" for name in expected]
    assert "This run was not evaluated" not in page.words
    both = Page(render_report(report(sections=sections[:1])))
    assert [section["id"] for section in both.all("section")][:3] == ["curves", "generated-images", "confusion"]


def test_every_block_of_a_section_is_shown() -> None:
    page = Page(render_report(report(sections=[latent_section()], evaluation=None)))
    for words in (
        "Samples of the prior, decoded.",
        "The same latent vectors after epoch 5.",
        "One class per column.",
        "Nats per image",
        "93.81",
        "validation",
        "Long (20 rows)",
        "Active dimensions",
    ):
        assert words in page.words, words
    images = page.all("img")
    assert len(images) == 4
    assert {(image["alt"], image["width"]) for image in images} == {("Generated images: samples", "639")}
    assert [figure.get("class") for figure in page.all("figure") if "data-hidden" in figure] == ["sheet", "sheet"]
    (slider,) = page.all("input")
    assert (slider["max"], slider["value"], slider["aria-label"]) == ("2", "2", "Epoch: Through training")
    assert "KL of each latent dimension" in [svg.get("aria-label") for svg in page.all("svg")]


def test_a_chart_may_be_made_already_and_brings_no_look_of_its_own() -> None:
    import altair as alt

    from seewhy.reporting import Chart
    from seewhy.reporting.palette import LIGHT

    plain = alt.Chart(alt.InlineData(values=[{"a": 1, "b": 2}])).mark_point().encode(x="a:Q", y="b:Q")
    text = render_report(report(metrics=[], evaluation=None, sections=[Section("Own", [Chart(plain, "A chart")])]))
    assert f'fill="{LIGHT["muted"]}"' in text


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_of_sections_and_choices_are_text(name: str) -> None:
    hostile = Section(
        name, [Paragraph(name), Table([name], [[name]], name), Sheet(name, np.zeros((4, 4, 1), np.uint8), name)]
    )
    rows = [ChoiceRow(name, name, True, name)]
    page = Page(render_report(report(sections=[hostile], choices=rows)).encode("utf-8").decode("utf-8"))
    assert len(page.all("script")) == 1
    assert not [n for _, attributes in page.elements for n in attributes if n.startswith("on")]


def test_wrong_blocks_raise() -> None:
    with pytest.raises(InputError, match="rows of table 'T': must have 2 cells, got 1"):
        Table(["a", "b"], [["1"]], "T")
    with pytest.raises(InputError, match="sheets of frames 'Through training': must be at least one, got 0"):
        Frames([])


def test_choices_asked_for_stand_first_and_the_others_collapse() -> None:
    text = render_report(report(choices=choices(30)))
    words = Page(text).words
    assert "2 asked for, 30 chosen" in words
    assert "as many as keep the device busy" in words
    assert words.index("train.epochs") < words.index("model.name") < words.index("optim.field_0")
    assert text.index("train.<wbr>epochs") < text.index("30 chosen fields") < text.index("optim.<wbr>field_<wbr>0<")
    assert "chosen fields" not in Page(render_report(report(choices=choices(4)))).words
    assert "Nothing was asked for" in Page(render_report(report(choices=choices(30)[3:]))).words.replace("2 asked", "")
    assert "#choices" not in [a["href"] for a in Page(render_report(report())).all("a")]


def test_values_of_choices_are_written_as_the_user_writes_them() -> None:
    values = {"true": True, "–": None, "0.9, 0.999": (0.9, 0.999), "1e-05": 1e-5, "adam": "adam", "20": 20}
    rows = [ChoiceRow(f"f{k}", value, False) for k, value in enumerate(values.values())]
    text = render_report(report(choices=rows))
    assert re.findall(r"</code></th><td>(.*?)</td>", text) == list(values)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (evaluation(), "No temperature was fitted: the confidences are the network's own."),
        (
            calibrated(),
            "divides the logits by T = 1.83, fitted on the validation split. It lowers every confidence and keeps the predicted classes; "
            "the expected calibration error fell from 9.4% to 1.3% on the test split.",
        ),
        (calibrated(temperature=0.5), "It raises every confidence"),
    ],
)
def test_the_calibration_says_what_temperature_scaling_did(record: EvaluationRecord, words: str) -> None:
    assert words in Page(render_report(report(evaluation=record))).words


def test_the_calibration_before_and_after_stand_side_by_side() -> None:
    text = render_report(report(evaluation=calibrated()))
    assert (
        "410 images Before scaling After scaling Temperature 1 1.83 Expected calibration error 9.4% 1.3% Log-loss 0.61 nats 0.42 nats"
        in cells(text)
    )
    validation = replace(calibrated(), split="val")
    assert "are optimistic" in Page(render_report(report(evaluation=validation))).words


def test_any_metric_of_training_and_validation_is_tabulated() -> None:
    measured = [{"epoch": 1, "train_critic_loss": 0.25, "val_kl": 3.5, "val_top5_accuracy": 0.75, "train_loss": None}]
    text = render_report(report(metrics=measured, evaluation=None))
    head = "Epoch Training critic loss Validation KL Validation top-5 accuracy"
    assert f"{head} 1 0.25 3.5 75.0%" in cells(text)
    assert "Critic loss over epochs" in [svg.get("aria-label") for svg in Page(text).all("svg")]


def test_no_name_shadows_a_module() -> None:
    import importlib
    import pkgutil
    import types

    import seewhy.reporting

    for name in seewhy.reporting.__all__:
        getattr(seewhy.reporting, name)
    for module in pkgutil.iter_modules(seewhy.reporting.__path__):
        importlib.import_module(f"seewhy.reporting.{module.name}")
        assert isinstance(getattr(seewhy.reporting, module.name), types.ModuleType), module.name
