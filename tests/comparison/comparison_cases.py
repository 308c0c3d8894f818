"""A program that stands in for `seewhy train`, and studies made by hand, for tests of what runs them."""

import json
from dataclasses import replace

from seewhy.comparison.design import design_variants
from seewhy.comparison.execute import work
from seewhy.comparison.folder import Design, StudyFolder
from seewhy.comparison.progress import Progress
from seewhy.spec import Metric, Request

PROGRAM = """#!/bin/sh
# -P -m seewhy train --spec REQUEST --out FOLDER, or train --resume FOLDER, or evaluate FOLDER ...
place="{place}"
case "$4 $5" in
    "train --spec") folder="$8"; mkdir "$folder" && cp "$6" "$folder/spec.toml" && cp "$place/data.json" "$folder" || exit 1 ;;
    "train --resume") folder="$6" ;;
    evaluate*) echo "$5" >> "$place/evaluated"; cat "$place/quality.json"; exit $(cat "$place/quality.code") ;;
esac
home="${{folder%/*}}"; kind="${{home%/*}}"; key="${{kind##*/}}/${{home##*/}}/${{folder##*/}}"
echo "$key $5" >> "$place/starts"
play="$(grep "^$key " "$place/plays" | head -n 1)"; play="${{play#* }}"; [ -n "$play" ] || play=0.5
ended() {{ cp "$place/data.json" "$folder"
    [ ! -e "$place/metrics.csv" ] || cp "$place/metrics.csv" "$folder"
    echo "{{\\"val\\": {{\\"accuracy\\": $1}}, \\"test\\": {{\\"accuracy\\": $1}}}}" \\
        > "$folder/r.tmp"; mv "$folder/r.tmp" "$folder/results.json"; }}
case "$play" in
    crash) echo "Traceback"; echo "ValueError: no luck"; exit 1 ;;
    diverge) echo "seewhy train: the loss is not finite at step 3"; exit 1 ;;
    stopped) [ "$5" = --resume ] && ended 0.5 && exit 0; echo "seewhy train: stopped at step 3 of 9; go on with: x"; exit 1 ;;
    once) [ "$5" = --resume ] && ended 0.5 && exit 0; exit 3 ;;
    refuse) echo "seewhy train: source: there is no such folder"; exit 2 ;;
    slow) trap 'echo "seewhy train: stopped at step 3 of 9; go on with: x"; touch "$folder/saved"; exit 1' TERM
          i=0; while [ $i -lt 400 ] && [ ! -e "$place/hurry" ]; do sleep 0.05; i=$((i + 1)); done; ended 0.5 ;;
    *) ended "$play" ;;
esac
"""

DATA = {
    "fingerprint": "images",
    "classes": ["a", "b"],
    "facts": {
        "height": 8,
        "width": 8,
        "channels": 1,
        "classes": 2,
        "train_images": 10,
        "val_images": 4,
        "test_images": 4,
        "flip_invariant": False,
    },
    "mean": [0.5],
    "std": [0.5],
    "rule": {"fit": "crop", "max_pixels": 100, "peaks": None},
}

ACCURACY = Metric("accuracy", higher=True)


def design_of(vary=None, variants=None, **changes):
    """Return a design as planning would make it, of the embedded digits."""
    base = Request.make("digits", {"epochs": 1, "train.threads": 1})
    chosen = design_variants(vary or {}, variants or {}, base)
    tune = changes.get("tune", "none")
    made = Design(
        base=base,
        variants=chosen,
        seeds=(0, 1, 2),
        metric=ACCURACY,
        split="test",
        reference=None,
        tune="none",
        halving=False,
        fingerprint="images",
        command="",
        run_seconds={each.name: 1.0 for each in chosen},
        rates={each.name: 0.1 for each in chosen if "optim.lr" not in each.changes} if tune == "lr" else {},
        selection=ACCURACY,
    )
    return replace(made, **changes)


class Stage:
    """Where the stand-in plays; a run whose play is not set reaches an accuracy of 0.5."""

    def __init__(self, place):
        self.place = place
        (place / "data.json").write_text(json.dumps(DATA))
        (place / "plays").touch()
        (place / "quality.code").write_text("0")

    def play(self, key, what):
        """Set what a run does, by `runs/VARIANT/SEED`: a number for its accuracy, or a word of the program's; "" for the usual."""
        lines = [line for line in (self.place / "plays").read_text().splitlines() if not line.startswith(f"{key} ")]
        (self.place / "plays").write_text(
            "".join(f"{line}\n" for line in [*lines, *([f"{key} {what}"] if what != "" else [])])
        )

    @property
    def starts(self):
        """The runs that were started, in order, each with whether it was new."""
        file = self.place / "starts"
        return [tuple(line.split(" ")) for line in file.read_text().splitlines()] if file.exists() else []

    def study(self, design):
        return StudyFolder.create(self.place / "study", design)

    def work(self, study, **options):
        work(study, **{"at_once": 2, **options})
        return Progress(StudyFolder(study.folder))
