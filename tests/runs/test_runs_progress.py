"""Progress in Python: none in a script unless it is wanted, and in a notebook a cell that is drawn again."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

import seewhy
from run_cases import MLP
from seewhy.runs.progress import Reporter
from seewhy.runs.screens import NotebookScreen, in_notebook
from seewhy.training.events import EpochEnded, Planned, RunStarted, StepEnded


def test_a_script_is_quiet_unless_it_asks(tmp_path, capsys):
    options = {**MLP, "epochs": 1}
    seewhy.train("digits", out=tmp_path / "a", **options)
    assert capsys.readouterr() == ("", "")
    run = seewhy.train("digits", out=tmp_path / "b", progress=True, **options)
    printed = capsys.readouterr()
    assert printed.out == ""
    for words in ("data  digits", "epoch   1/1", str(run.folder)):
        assert words in printed.err
    assert re.search(
        r"validation loss \d\.\d+  accuracy \d+\.\d\d%  balanced accuracy \d+\.\d\d%  macro F1 \d+\.\d\d%", printed.err
    )
    seewhy.resume(run.folder, progress=True)
    assert "has taken all its" in capsys.readouterr().err
    assert not in_notebook()


def test_the_cell_is_drawn_again_and_shows_what_names_cannot_break(monkeypatch):
    drawn = []
    monkeypatch.setattr(NotebookScreen, "_draw", lambda self: drawn.append((list(self._lines), self._bar)))
    reporter = Reporter(NotebookScreen())
    row = {"train_loss": 0.5, "images_per_second": 9.0, "seconds": 1.0}
    for event in (
        Planned(None, (("data", "<b>\x1b[31m"),)),
        RunStarted("run", None, None, 0, 2, 2),
        StepEnded(1, 0, {"loss": 0.5}, 0.1, 8),
        EpochEnded(0, row, True),
    ):
        reporter(event)
    reporter.close()
    lines, bar = drawn[-1]
    assert bar is None
    assert lines[0] == "        data  <b>\\x1b[31m"
    assert any(bar is not None and bar[:2] == ("training", 0) for _, bar in drawn)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A notebook that trains, executed."""
    code = (
        "import seewhy\n"
        "run = seewhy.train('digits', out='run', epochs=2, model='mlp', width=8, depth=1, **{'train.threads': 1})"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path_factory.mktemp("book"))}}).execute()
    return book


@pytest.mark.filterwarnings("ignore")  # of the notebook's own libraries
def test_a_notebook_shows_it_by_default(notebook):
    (output,) = notebook.cells[0].outputs
    shown = output["data"]["text/html"]
    assert re.search(r"epoch +2/2", shown)
    assert "<progress" not in shown  # which is gone at the end
