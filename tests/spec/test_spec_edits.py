"""Edits are texts that change a request: reading, writing, applying, and the shortest one from one request to another."""

import pytest
from hypothesis import given, settings
from spec_requests import requests

from seewhy.core.errors import InputError
from seewhy.spec import Request, apply_edit, diff, format_edit, parse_edit
from seewhy.spec.tree import flat

many = settings(max_examples=150, deadline=None)


def make(**options):
    return Request.make("digits", options)


@many
@given(a=requests(), b=requests())
def test_the_diff_makes_one_of_the_other(a, b):
    assert apply_edit(diff(a, b), a) == b


@many
@given(a=requests(), b=requests())
def test_the_diff_as_text_makes_one_of_the_other(a, b):
    assert apply_edit(parse_edit(format_edit(diff(a, b))), a) == b


@many
@given(a=requests())
def test_a_request_does_not_differ_from_itself(a):
    assert diff(a, a) == {}
    assert format_edit({}) == ""
    assert apply_edit(parse_edit(""), a) == a


@many
@given(a=requests(), b=requests())
def test_the_diff_has_nothing_that_could_be_left_out(a, b):
    changes = diff(a, b)
    for left_out in changes:
        rest = {path: value for path, value in changes.items() if path != left_out}
        try:
            reached = apply_edit(rest, a)
        except InputError:
            continue
        assert reached != b, f"{left_out} is not needed"


@many
@given(a=requests())
def test_a_request_is_what_its_fields_make_in_any_order(a):
    backwards = dict(reversed(flat(a.values).items()))
    assert Request.make(a.source, backwards) == a


HARD = [
    ("epochs for minutes", {"minutes": 3.0}, {"epochs": 2.0}, {"train.epochs": 2.0}),
    ("minutes for epochs", {"epochs": 2.0}, {"minutes": 3.0}, {"train.minutes": 3.0}),
    ("no budget", {"epochs": 2.0}, {}, {"train.epochs": None}),
    ("another model", {"model": "mlp", "width": 64}, {"model": "resnet"}, {"model.name": "resnet"}),
    (
        "another model of the same width",
        {"model": "mlp", "width": 64},
        {"model": "resnet", "width": 64},
        {"model.name": "resnet", "model.width": 64},
    ),
    ("a model taken back", {"model": "mlp", "width": 64}, {}, {"model.name": None}),
    (
        "a model taken back, its width kept",
        {"model": "mlp", "width": 64},
        {"width": 64},
        {"model.name": None, "model.width": 64},
    ),
    ("a model named at last", {"width": 64}, {"model": "mlp", "width": 64}, {"model.name": "mlp"}),
    (
        "another optimiser with the same schedule",
        {"optimizer": "sgd", "lr": 0.1, "optim.schedule": "linear"},
        {"optimizer": "adam", "optim.schedule": "linear"},
        {"optim.name": "adam"},
    ),
    (
        "another optimiser without the schedule",
        {"optimizer": "sgd", "optim.schedule": "linear"},
        {"optimizer": "adam"},
        {"optim.name": "adam", "optim.schedule": None},
    ),
    (
        "a choice appears",
        {},
        {"activation": {"name": "elu", "alpha": 2.0}},
        {"model.activation.name": "elu", "model.activation.alpha": 2.0},
    ),
    ("a choice disappears", {"activation": {"name": "elu", "alpha": 2.0}}, {}, {"model.activation": None}),
    (
        "a choice without its fields",
        {"activation": {"name": "elu", "alpha": 2.0}},
        {"activation": "elu"},
        {"model.activation.alpha": None},
    ),
    (
        "another choice",
        {"activation": {"name": "elu", "alpha": 2.0}},
        {"activation": "tanh"},
        {"model.activation.name": "tanh"},
    ),
    ("a group disappears", {"reg.cutout": 8}, {}, {"reg.cutout": None}),
    ("a group changes", {"reg.cutout": 8}, {"reg.cutout": 4}, {"reg.cutout.size": 4}),
    (
        "one group for another",
        {"reg.cutout": 8},
        {"reg.erasing": {"probability": 0.5, "area": (0.1, 0.2)}},
        {"reg.cutout": None, "reg.erasing.probability": 0.5, "reg.erasing.area": [0.1, 0.2]},
    ),
    (
        "another family",
        {"model": "mlp", "label_smoothing": 0.1, "seed": 3},
        {"model": "vae", "model.beta": 4.0, "seed": 3},
        {"model.name": "vae", "model.beta": 4.0, "reg.label_smoothing": None},
    ),
]


@pytest.mark.parametrize(("a", "b", "changes"), [case[1:] for case in HARD], ids=[case[0] for case in HARD])
def test_the_shortest_edit_of_hard_cases(a, b, changes):
    first, second = make(**a), make(**b)
    assert diff(first, second) == changes
    assert apply_edit(changes, first) == second


def test_another_source_is_an_edit():
    assert diff(Request.make("digits"), Request.make("photos")) == {"source": "photos"}
    assert apply_edit({"source": "photos"}, Request.make("digits")) == Request.make("photos")


def test_short_names_paths_and_tables_are_read():
    assert parse_edit('activation = "elu", optim.lr = 0.1, reg.cutout = { size = 8 }, epochs = "default"') == {
        "model.activation.name": "elu",
        "optim.lr": 0.1,
        "reg.cutout.size": 8,
        "train.epochs": None,
    }


def test_an_edit_is_written_as_people_write_it():
    changes = {"model.activation.name": "elu", "optim.lr": 0.1, "train.epochs": None}
    assert format_edit(changes) == 'model.activation = "elu", optim.lr = 0.1, train.epochs = "default"'
    together = {"model.activation.name": "elu", "model.activation.alpha": 2.0}
    assert format_edit(together) == 'model.activation.name = "elu", model.activation.alpha = 2.0'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 0.1", r"must be TOML such as .*, got 'lr: 0\.1'"),
        ("optim.lr = ", "must be TOML"),
        pytest.param(f"optim.lr = {'[' * 5000}", "must be TOML", id="deep"),
        ("lr = 0.1 }\nother = { seed = 1", "must be one line of TOML"),
        ("widht = 3", "widht: there is no such option; did you mean 'width'"),
        ("optim.lr = 0.1, lr = 0.2", "is given twice"),
    ],
)
def test_bad_edits_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_edit(text)


def test_an_edit_that_leads_to_a_wrong_request_is_refused():
    with pytest.raises(InputError, match=r"optim\.momentum: belongs to .*, but optim\.name is 'adam'"):
        apply_edit({"optim.momentum": 0.9}, make(optimizer="adam"))
    with pytest.raises(InputError, match="source: must be a folder"):
        apply_edit(parse_edit("source = 3"), make())
