"""A stranger's loop as a page: the records become the rows that are drawn, and the file is written whole or not at all."""

import json
import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import seewhy
from seewhy.core.errors import InputError
from seewhy.core.findings import Finding, Remedy
from seewhy.diagnosis.checks import CHECKS
from seewhy.diagnosis.health import COLUMNS, columns, health_of_entries, learning_plots, network_health
from seewhy.diagnosis.page import health_of_watch
from seewhy.diagnosis.records import ActivationRecord, LayerRecord, ParameterRecord, ProbeRecord
from seewhy.diagnosis.series import MEASURES, PLOTS, finding_plot
from seewhy.reporting import health as drawn_health
from seewhy.reporting import render_why
from seewhy.reporting.plots import line_plot


class Shared(nn.Module):
    """A layer that is used twice, a functional activation, a normalisation, an activation before any layer."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.twice, self.act = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Tanh()
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.first(torch.tanh(x))))
        return self.last(self.act(self.twice(self.act(self.twice(x)))))


def watched(model, steps=30, lr=0.1, record=None, **told):
    torch.manual_seed(0)
    x, y = torch.randn(256, 8), torch.randint(3, (256,))
    optimizer = torch.optim.SGD(model.parameters(), lr)
    with seewhy.watch(model, optimizer, tell=None, record=record) as why:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            why.observe(**told)
    assert not why.error, why.error
    return why


def dead():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        model[2].bias.fill_(-9.0)
    return model


def probe(step, layers=(), activations=(), parameters=()):
    return ProbeRecord(
        step,
        "",
        0.1,
        None,
        None,
        tuple(LayerRecord(name, 0.0, 1.0, 0.5) for name in layers),
        tuple(ActivationRecord(name, "relu", 4, 0.25, 0.5, 10, after=after) for name, after in activations),
        tuple(ParameterRecord(name, 1.0, 1.0, 0.01, True, True, matrix=matrix) for name, matrix in parameters),
    )


def test_the_rows_are_the_records_of_a_real_network():
    why = watched(Shared())
    (network,) = health_of_watch(why).networks
    records = why.history().records
    assert list(network.steps) == [record.step for record in records]
    assert list(network.layers) == ["(tanh)", "first", "twice", "twice 2", "last"]
    assert list(network.functions) == ["tanh", "relu", "act tanh", "act tanh", ""]
    for column, record in enumerate(records):
        for layer in record.layers:
            row = network.rows[layer.layer]
            assert network.layers[row] == layer.layer
            assert network.measures["gradient"][row][column] == layer.gradient
            assert network.measures["spread"][row][column] == layer.std
        for activation in record.activations:
            row = network.rows[activation.layer]
            assert network.measures["silent"][row][column] == activation.silent
            bounded = activation.function == "tanh"
            assert network.measures["saturated"][row][column] == (activation.saturated if bounded else None)
        updates = {p.name: p.update for p in record.parameters}
        assert network.measures["update"][network.rows["twice.bias"]][column] == updates["twice.weight"]
        assert network.measures["update"][network.rows["twice 2"]][column] is None
    assert "norm.weight" not in network.rows


def test_an_activation_stands_behind_the_layer_before_it():
    order = [record.after for record in watched(Shared(), steps=1).history().records[0].activations]
    assert order == [0, 1, 2, 3]


def test_rows_of_passes_that_differ_are_merged_in_order():
    records = [
        probe(1, ["a", "c"], [("(relu)", 1)], [("a.weight", True), ("c.weight", True)]),
        probe(2, ["a", "b", "c"], [("b (relu)", 2)], [("a.weight", True), ("free", True), ("c.weight", True)]),
        probe(3, ["c", "d"]),
    ]
    network = network_health("model", records)
    assert list(network.layers) == ["a", "free", "b", "c", "d"]
    assert network.measures["spread"][network.rows["b"]] == [None, 1.0, None]
    assert network.measures["update"][network.rows["free"]] == [None, 0.01, None]
    assert network.rows["b (relu)"] == network.rows["b"]
    assert network.rows["(relu)"] == network.rows["a"]


def test_of_several_activations_behind_a_layer_the_worst_is_shown():
    first, second = (
        ActivationRecord(f"{n} (relu)", "relu", 4, share, 0.0, 9, after=1) for n, share in (("x", 0.9), ("y", 0.2))
    )
    record = ProbeRecord(1, "", None, None, None, (LayerRecord("a", 0.0, 1.0, None),), (first, second))
    network = network_health("model", [record])
    assert network.measures["silent"] == [[0.9]]
    assert network.functions == ["x relu, y relu"]


def test_long_trainings_are_thinned_and_keep_the_steps_of_findings():
    records = [probe(step, ["a"]) for step in range(1, 3001)]
    kept = [record.step for record in columns(records, [1234])]
    assert COLUMNS <= len(kept) <= COLUMNS + 1
    assert kept == sorted(set(kept))
    assert {1, 1234, 3000} <= set(kept)
    assert [record.step for record in columns(records[:7], [3])] == list(range(1, 8))


def test_stored_entries_draw_the_same_page():
    entries = []
    why = watched(dead(), steps=28, record=entries.append)  # the last step is probed
    live = health_of_watch(why)
    stored = health_of_entries(entries, findings=why.findings, past=why.past, checks=why.checks)
    assert render_why(stored, title="t") == render_why(live, title="t")
    told = []
    why = watched(dead(), steps=5, record=told.append, val_loss=0.5)
    assert health_of_watch(why).told == [("val_loss", 5, 0.5)]
    stored = health_of_entries(told, findings=(), past=(), checks=())
    assert stored.told == [("val_loss", 4, 0.5)], "what is told after a step comes with the next entry"


def test_several_networks_hear_once_what_was_told():
    G, D = nn.Linear(4, 4), nn.Linear(4, 1)
    og, od = torch.optim.SGD(G.parameters(), 0.1), torch.optim.SGD(D.parameters(), 0.1)
    entries = []
    with seewhy.watch(G, og, tell=None, record=entries.append, discriminator=D, d_optimizer=od) as why:
        for _ in range(3):
            loss = D(G(torch.randn(8, 4))).square().mean()
            loss.backward()
            od.step()
            og.step()
            why.observe(g_loss=loss)
    live = health_of_watch(why)
    assert [network.name for network in live.networks] == ["model", "discriminator"]
    assert [(name, times) for name, times, _ in live.told] == [("g_loss", 3)]
    stored = health_of_entries(entries, findings=(), past=(), checks=())
    assert [(name, times) for name, times, _ in stored.told] == [("g_loss", 2)], "the last came after the last probe"


def test_a_finding_is_shown_by_its_series_and_threshold():
    why = watched(dead(), steps=60)
    health = health_of_watch(why)
    finding = next(f for f in [*health.findings, *health.past] if f.code == "dead_units")
    plot = health.plots[finding.fingerprint]
    assert plot.threshold == 0.5
    assert plot.lines["3 (relu)"] == [(r.step, r.activations[1].silent) for r in why.history().records]
    assert health.measures[finding.fingerprint] == "silent"
    (network,) = health.networks
    assert network.layers[network.rows["3 (relu)"]] == "2"


def test_drawings_and_measures_are_of_checks_that_exist():
    codes = {check.code for check in CHECKS}
    assert set(PLOTS) <= codes
    assert set(MEASURES) <= codes
    assert set(MEASURES.values()) <= set(drawn_health.MEASURES)


@pytest.mark.parametrize("code", PLOTS)
def test_every_drawing_can_be_made_of_any_records(code):
    """Of a real network's records, and of records in which nothing was measured."""
    records = watched(Shared(), steps=4).history().records
    for some in (records, [probe(1), probe(2)], []):
        plot = finding_plot(Finding(code, "t", "warning", 2, layers=("act (tanh)", "(relu)")), some, {})
        assert (plot is None) == (not some)
        if plot is not None:
            line_plot(plot)


def test_drawings_are_of_the_records_values():
    records = watched(Shared(), steps=4).history().records

    def drawn(code):
        (points,) = finding_plot(Finding(code, "t", "warning", 2), records, {}).lines.values()
        return points

    norms = [math.sqrt(sum(p.gradient**2 for p in r.parameters if p.gradient is not None)) for r in records]
    assert [value for _, value in drawn("exploding_gradients")] == pytest.approx(norms)
    ratios = [r.layers[0].gradient / r.layers[-1].gradient for r in records]
    assert drawn("vanishing_gradients") == list(zip([1, 2, 3, 4], ratios, strict=True))
    assert drawn("weight_decay_too_large")[0] == (1, 1.0)
    assert drawn("no_learning") == [(r.step, r.loss) for r in records]
    told = finding_plot(
        Finding("no_learning", "t", "warning", 2, evidence={"chance": 1.1}), records, {"loss": [(1, 9.0)]}
    )
    assert (told.lines, told.threshold) == ({"loss": [(1, 9.0)]}, 1.1)


def test_the_learning_is_what_was_told_and_else_what_was_measured():
    measured = watched(dead(), val_loss=1.0)
    (loss, accuracy) = learning_plots({"model": measured.history().records}, {"val_loss": [(1, 1.0)]})
    assert list(loss.lines) == ["loss", "val_loss"]
    assert loss.lines["loss"] == [(r.step, r.loss) for r in measured.history().records]
    assert list(accuracy.lines) == ["accuracy"]
    told = {"train_loss": [(1, 2.0)], "val_acc": [(1, 50.0)], "temperature": [(1, 3.0)]}
    plots = learning_plots({"model": measured.history().records}, told)
    assert [list(plot.lines) for plot in plots] == [["train_loss"], ["accuracy", "val_acc"], ["temperature"]]
    assert not plots[1].percent


# The file.


def test_report_writes_one_page_and_overwrites_its_own(tmp_path):
    why = watched(dead(), steps=60)
    state = torch.random.get_rng_state()
    path = why.report(tmp_path / "why.html", title="My loop")
    assert torch.equal(torch.random.get_rng_state(), state)
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "why.html"
    assert "<h1>My loop</h1>" in text
    assert 'id="finding-dead_units"' in text
    assert json.loads(re.search(r"data-record>(.*?)</script>", text)[1])["steps"] == [
        r.step for r in why.history().records
    ]
    why.report(path, title="Again")
    assert "<h1>Again</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["why.html"]


def test_report_works_within_the_loop_and_before_it(tmp_path):
    model = dead()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with seewhy.watch(model, optimizer, tell=None) as why:
        assert "No step was seen" in why.report(tmp_path / "a.html").read_text(encoding="utf-8")
        F.cross_entropy(model(torch.randn(64, 8)), torch.randint(3, (64,))).backward()
        why.report(tmp_path / "b.html")
        optimizer.step()
    assert [r.step for r in why.history().records] == [1]


def test_report_refuses_what_it_would_harm(tmp_path):
    why = watched(dead(), steps=1)
    with pytest.raises(InputError, match=r"report: path: .* is a folder; name a file in it, such as .*why\.html"):
        why.report(tmp_path)
    with pytest.raises(InputError, match=r"the folder .*none does not exist; make it first"):
        why.report(tmp_path / "none" / "why.html")
    notes = tmp_path / "notes.html"
    notes.write_text("<html>mine</html>")
    with pytest.raises(InputError, match="exists and is no page of a watch"):
        why.report(notes)
    assert notes.read_text() == "<html>mine</html>"
    with pytest.raises(InputError, match="report: path: must be a path"):
        why.report("")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.html"]


# In a notebook.


def test_the_notebook_shows_the_findings_as_a_list_without_a_script():
    html = watched(dead(), steps=60)._repr_html_()
    assert html.count("<li><details>") >= 1
    assert "<script" not in html
    assert "no step was seen" in seewhy.watch(nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)], 0.1))._repr_html_()


def test_a_finding_in_a_notebook_escapes_its_names():
    finding = Finding(
        "c", "<b>t</b>\x1b", "warning", 3, layers=("<i>\u202e",), explanation="<u>", remedies=(Remedy("<s>"),)
    )
    html = finding._repr_html_()
    assert not re.search(r"<(b>t|i|u|s)>?", html.replace("<summary>", "").replace("</summary>", ""))
    assert not set("\x1b\u202e") & set(html)
    assert "&lt;u&gt;" in html


def test_values_that_are_not_finite_are_drawn():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    why = watched(model, steps=3, val_loss=math.inf)
    page = render_why(health_of_watch(why), title="t")
    assert 'class="hx">NaN</td>' in page
