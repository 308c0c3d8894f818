from __future__ import annotations

import numpy as np

from seewhy.data import SplitOptions, audit, check_dataset, image_audit
from seewhy.data.audit import Issue, collect, count, some
from seewhy.data.split_rules import LEFT_OUT


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_words():
    assert [count(n, "class") for n in (1, 2, 1200)] == ["1 class", "2 classes", "1,200 classes"]
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some([str(i) for i in range(1003)]) == "0, 1, 2 and 1,000 more"
    assert some(["x" * 200]) == "x" * 38 + "..." + "x" * 38


def test_errors_come_first_and_travel_as_json():
    report = collect([Issue("b", "note", "n"), Issue("a", "error", "e", ("p",)), Issue("c", "warning", "w")], "sum")
    assert [issue.severity for issue in report.issues] == ["error", "warning", "note"]
    assert report.to_json()[0] == {"kind": "a", "severity": "error", "message": "e", "paths": ["p"]}
    assert report.of("c")[0].message == "w"
    assert report.summary == "sum"


def test_unreadable_files():
    assert audit.unreadable([]) == []
    (issue,) = audit.unreadable([("a/1.jpg", "is empty"), ("a/2.jpg", "is truncated")])
    assert issue.message == "2 files cannot be used and are left out: a/1.jpg (is empty), a/2.jpg (is truncated)"
    assert issue.paths == ("a/1.jpg", "a/2.jpg")
    assert issue.severity == "error"


def test_classes_that_are_single_or_missing():
    labels, splits = ints(0, 0, 0, 1, 2, 2, 3, 3), ints(0, 1, 2, 0, 0, 2, 2, 2)
    issues = {(issue.kind, issue.paths): issue.message for issue in audit.classes(labels, splits, "abcd")}
    assert issues == {
        ("one_image_class", ("b",)): "1 class with a single image, which cannot be split: b",
        ("missing_class", ("d",)): "1 class without images in the train split, can never be recognised: d",
        ("missing_class", ("c", "d")): "2 classes without images in the val split, are not evaluated there: c, d",
    }


def test_imbalance_is_measured_on_the_training_split():
    assert audit.classes(np.repeat([0, 1], [100, 10]), np.zeros(110, np.int64), "ab") == []
    (issue,) = audit.classes(np.repeat([0, 1], [101, 10]), np.zeros(111, np.int64), "ab")
    assert issue.kind == "imbalance"
    assert issue.message.startswith("classes are unbalanced in the train split: a has 101 images, b 10;")
    tested = np.repeat([0, 2, 0], [100, 10, 2])
    issues = audit.classes(np.repeat([0, 0, 1], [100, 10, 2]), tested, "ab")
    assert sorted(issue.kind for issue in issues) == ["imbalance", "missing_class"]


def test_duplicates_leaks_and_conflicts():
    names = [f"p{i}" for i in range(10)]
    first = ints(0, 0, 0, 3, 3, 5, 6, 6, 8, 8)
    labels = ints(0, 0, 0, 1, 0, 1, 1, 1, 0, 0)
    splits = ints(0, 0, 2, 0, 1, 2, 1, 2, 0, LEFT_OUT)
    issues = {
        (issue.kind, issue.paths): issue.message for issue in audit.duplicates(first, labels, splits, names, "ab")
    }
    assert issues == {
        ("leakage", ("p4",)): "1 image of the val split also in the train split, so its figures flatter: p4; remove the duplicates",
        ("leakage", ("p2", "p7")): "2 images of the test split also in the train or val split, so its figures flatter: p2, p7; "
        "remove the duplicates",
        ("conflicting_labels", ("p3", "p4")): "1 image under more than one class: p3 (a and b); keep the right one",
        ("duplicate", ("p1",)): "1 image of the train split is a duplicate of another: p1",
    }  # fmt: skip


def test_no_duplicates_no_issue():
    assert audit.duplicates(np.arange(4), ints(0, 1, 0, 1), ints(0, 0, 1, 2), list("abcd"), "xy") == []


def test_sizes():
    assert image_audit.sizes(np.array([[20, 20]] * 3), (16, 16, 3)) == []
    (issue,) = image_audit.sizes(np.array([[20, 30], [40, 10]]), (16, 16, 3))
    assert issue.kind == "mixed_sizes"
    assert (
        issue.message
        == "sizes are mixed: 10 to 30 pixels wide, 20 to 40 high; each is scaled to cover 16 x 16 and cut at the centre"
    )
    (issue,) = image_audit.sizes(np.array([[20, 30]] * 3), (16, 16, 3))
    assert issue.kind == "cut"
    assert "30 x 20 pixels" in issue.message


def test_colour_lost():
    grey = np.array([True, False, True])
    assert image_audit.colours(grey, 3, asked=False) == []
    assert image_audit.colours(grey, 1, asked=True) == []
    (issue,) = image_audit.colours(grey, 1, asked=False)
    assert issue.message.startswith("1 colour image among grey ones")


def test_without_validation_images_what_that_means_is_said():
    labels = np.arange(6) % 3
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    (issue,) = check_dataset((images, labels)).of("no_validation")
    assert (issue.severity, "no class has images to spare" in issue.message) == ("warning", True)
    (asked,) = check_dataset((images.repeat(10, 0), labels.repeat(10)), split=SplitOptions(val_fraction=0)).of(
        "no_validation"
    )
    assert (asked.severity, "as was asked" in asked.message) == ("note", True)


def test_names_of_classes_that_may_be_one():
    alike, missing = audit.class_names(["Cat", "cat", " dog", "dog", "hot dog", "bird", "NA", "nan"])
    assert alike.message == (
        "names of classes differ in capitals or blanks only: 'Cat' and 'cat', ' dog' and 'dog'; give them one name if they are one class"
    )
    assert (alike.kind, alike.severity, alike.paths) == ("class_names", "note", ("Cat", "cat", " dog", "dog"))
    assert (
        missing.message
        == "2 classes named like a missing label: 'NA', 'nan'; leave the images out where no class is meant"
    )
    assert audit.class_names(["cat", "category", "none", "a", "b"]) == []


def test_names_of_classes_are_looked_at_in_every_source(folder, tmp_path):
    folders = check_dataset(folder({"Cat": 3, "cat": 3, "NA": 3}))
    assert [issue.paths for issue in folders.of("class_names")] == [("Cat", "cat"), ("NA",)]
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    arrays = check_dataset((images, np.array(["nan", "dog ", "dog"] * 2)))
    assert [issue.paths for issue in arrays.of("class_names")] == [("dog", "dog "), ("nan",)]
