"""What a generative model's report shows, before and after the end of its run."""

import numpy as np

from seewhy.data.image_files import save_image
from seewhy.models.family import Finished, implementation_of
from seewhy.models.generative import generative_report, has_ended, observe
from seewhy.reporting import Figures, Frames, Sheet


def test_before_anything_was_generated_there_is_no_section(make_trained, reader_of):
    reader = reader_of(make_trained("pixelcnn"))
    report = generative_report(reader)
    assert (report.sections, report.summary, report.python) == ((), [], "run.sample(16)")
    assert not has_ended(reader)


def test_frames_are_shown_while_it_trains(make_trained, reader_of, tmp_path):
    trained = make_trained("gan")
    for epoch in (1, 2):
        observe(trained, tmp_path, 2)(epoch)
    (section,) = generative_report(reader_of(trained)).sections
    (frames,) = section.blocks
    assert isinstance(frames, Frames)
    assert [sheet.name for sheet in frames.sheets] == ["epoch 1", "epoch 2"]
    assert frames.sheets[0].image.shape == (53, 53, 1)


def test_sheets_and_figures_are_shown_after_it(make_trained, digits, reader_of, tmp_path):
    trained = make_trained("pixelcnn")
    implementation = implementation_of(trained.spec)
    finished = implementation.finish(trained, digits, tmp_path)
    report = implementation.report(reader_of(trained, finished))
    (section,) = report.sections
    *sheets, figures = section.blocks
    assert [sheet.name for sheet in sheets] == ["samples", "nearest training images", "completions"]
    assert isinstance(figures, Figures)
    assert [label for label, _ in figures.rows] == ["Test split", "Validation split"]
    assert "70 images: exact" in figures.rows[0][1]
    nats = finished.results["test"]["nats"]
    assert report.summary[0][0] == "Test nats"
    assert report.summary[0][1].startswith(f"{nats:.2f} [")


def test_files_outside_the_folder_are_not_read(make_trained, reader_of, tmp_path):
    trained = make_trained("gan")
    home = tmp_path / "run"
    home.mkdir()
    save_image(np.zeros((2, 2, 1), np.uint8), tmp_path / "outside.png")
    save_image(np.zeros((2, 2, 1), np.uint8), home / "inside.png")
    files = ["../outside.png", str(tmp_path / "outside.png"), "missing.png", "inside.png"]
    sheets = [{"file": file, "name": file, "caption": ""} for file in files]
    reader = reader_of(trained, Finished(results={}, record={"sheets": sheets}))
    reader.folder = home
    (section,) = generative_report(reader).sections
    assert [block.name for block in section.blocks] == ["inside.png"]
    assert isinstance(section.blocks[0], Sheet)
