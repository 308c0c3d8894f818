"""What runs and studies show in a notebook's cell."""

import re
import shutil

import seewhy
from seewhy import api


def test_a_run_shows_its_figures_and_its_files(shapes_run):
    html = shapes_run._repr_html_()
    low, high = shapes_run.results["test"]["interval"]
    assert f"[{low:.2%}, {high:.2%}]" in html
    assert "report.html, MODEL_CARD.md" in html
    assert "<script" not in html
    assert not shapes_run.findings
    assert api.diagnose(shapes_run)._repr_html_().startswith("<p>")


def test_names_are_escaped_and_a_run_that_goes_on_says_so(shapes_run, tmp_path):
    place = tmp_path / "<b>&"
    shutil.copytree(shapes_run.folder, place)
    (place / "results.json").unlink()
    html = seewhy.Run(place)._repr_html_()
    assert "not ended yet" in html
    assert "&lt;b&gt;&amp;" in html
    assert "<b>&" not in html


def test_a_run_with_findings_lists_them(tmp_path):
    run = api.train("digits", out=tmp_path / "run", model="mlp", norm="none", dropout=0.95, epochs=1, precision="fp32")
    assert run.findings
    assert run._repr_html_().count("<li><details>") == len(run.findings)
    assert api.diagnose(run)._repr_html_().count("<li><details>") == len(run.findings)


def test_a_generative_run_shows_its_samples(tmp_path):
    run = api.train("digits", out=tmp_path / "run", model="autoencoder", width=8, epochs=1)
    assert re.search(r'<img alt="samples".*src="data:image/png;base64,iVBOR', run._repr_html_())
