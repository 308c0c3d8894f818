"""What a run's findings say: likeliest first, beside a baseline, for machines and for code scanning."""

import dataclasses
import json

import pytest
from diagnose_cases import DEAD, GRADIENTS, RATE, with_findings

import seewhy
from seewhy.core.errors import InputError
from seewhy.diagnosis.checks import CHECKS
from seewhy.runs.diagnose.baseline import Known, read_baseline, write_baseline


@pytest.fixture
def ill(plain_run, tmp_path):
    return with_findings(plain_run, tmp_path / "ill", [RATE, GRADIENTS], [DEAD])


def test_a_diagnosis_says_what_findings_json_says(ill):
    why = seewhy.diagnose(ill)
    assert [finding.code for finding in why.findings] == ["learning_rate_too_high", "vanishing_gradients"]
    assert why.past[0] == DEAD
    assert [check.status for check in why.checks] == ["found", "found", "passed", "not applicable"]
    text = str(why)
    for words in (
        "2 findings (1 critical, 1 warning)",
        "1. critical: a step changes a typical weight by 120%",
        "2. warning: the gradient at net.layers.0",
        f"vanishing_gradients since step 2, fingerprint {GRADIENTS.fingerprint}",
        "numbers  ratio 1.6e-07, first inf",
        "why      Each layer multiplies the gradient.",
        "source   Hochreiter 1991",
        "remedies 1. add skip connections\n               code: x = x + block(x)",
        '2. normalise\n               edit: model.norm = "batch"',
        "dead_units: 60% are dead (steps 50 to 300)",
        "4 checks: 2 found, 1 passed, 1 not applicable, 0 skipped (--checks lists them)",
    ):
        assert words in text
    assert "gradients are cleared" not in text
    assert "zero_grad_missing       gradients are cleared between steps" in "\n".join(why.lines(checks=True))


def test_what_is_not_sure_says_how_sure_it_is(plain_run, tmp_path):
    doubtful = dataclasses.replace(GRADIENTS, confidence=0.8)
    text = str(seewhy.diagnose(with_findings(plain_run, tmp_path / "run", [doubtful, RATE])))
    assert "vanishing_gradients since step 2, 80% sure, fingerprint" in text
    assert "learning_rate_too_high since step 12, fingerprint" in text


def test_a_run_that_has_not_ended_says_so(ill):
    assert "has not ended" not in str(seewhy.diagnose(ill))
    (ill / "results.json").unlink()
    why = seewhy.diagnose(ill)
    assert "the run has not ended: what stopped it" in str(why)
    assert why.to_json()["ended"] is False


def test_its_json_is_json_and_whole(ill):
    value = json.loads(json.dumps(seewhy.diagnose(ill).to_json(), allow_nan=False))
    assert [each["code"] for each in value["findings"]] == ["learning_rate_too_high", "vanishing_gradients"]
    assert value["findings"][1]["fingerprint"] == GRADIENTS.fingerprint
    assert value["past"][0]["ended"] == 300
    assert len(value["checks"]) == 4
    assert value["known"] == []


@pytest.mark.parametrize(
    ("severity", "findings", "reached"),
    [
        ("critical", [RATE], True),
        ("critical", [GRADIENTS], False),
        ("warning", [GRADIENTS], True),
        ("note", [GRADIENTS], True),
        ("note", [], False),
    ],
)
def test_a_finding_that_lasts_reaches_its_severity(severity, findings, reached, plain_run, tmp_path):
    folder = with_findings(plain_run, tmp_path / "run", findings, past=[RATE])
    assert seewhy.diagnose(folder).reaches(severity) is reached


def test_an_unwatched_run_is_refused_with_how_to_watch(plain_run, tmp_path):
    folder = with_findings(plain_run, tmp_path / "run", [])
    (folder / "findings.json").unlink()
    with pytest.raises(InputError, match=r"was not watched .*repeat it watched: seewhy train --spec .*run --out NEW"):
        seewhy.diagnose(folder)
    (folder / "results.json").unlink()
    with pytest.raises(InputError, match=r"nothing has been looked at yet; let it go on: seewhy train --resume"):
        seewhy.diagnose(folder)
    with pytest.raises(InputError, match="holds no class folders"):
        seewhy.diagnose(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"findings": []}',
        '{"findings": [{"code": "x"}], "checks": []}',
        '{"findings": 3}',
        '{"findings": [], "checks": [{"code": 3, "status": "found"}]}',
        '{"findings": [], "checks": [{"code": "a", "status": "odd"}]}',
        '{"checks": [], "findings": [{"code": "a", "title": "a", "severity": "odd", "step": 1, "layers": [], "remedies": []}]}',
        '{"checks": [], "findings": [{"code": 3, "title": "a", "severity": "note", "step": 1, "layers": [], "remedies": []}]}',
        '{"checks": [], "findings": [{"code": "a", "title": "a", "severity": "note", "step": "1", "layers": [], "remedies": []}]}',
    ],
)
def test_damaged_findings_are_refused_by_name(content, ill):
    (ill / "findings.json").write_text(content)
    with pytest.raises(InputError, match=r"findings\.json: is damaged"):
        seewhy.diagnose(ill)


def test_beside_a_baseline_only_what_is_new_counts(ill, tmp_path):
    entry = {"fingerprint": RATE.fingerprint, "reason": "a sweep up to the limit"}
    (tmp_path / "base.json").write_text(json.dumps({"findings": [entry]}))
    why = seewhy.diagnose(ill, baseline=tmp_path / "base.json")
    assert [finding.code for finding in why.findings] == ["vanishing_gradients"]
    assert not why.reaches("critical")
    assert why.reaches("warning")
    text = str(why)
    assert "1 finding (1 warning)" in text
    assert "critical: a step changes a typical weight by 120% (a sweep up to the limit)" in text
    assert why.to_json()["known"][0]["reason"] == "a sweep up to the limit"
    all_known = seewhy.diagnose(ill, baseline=ill / "findings.json")
    assert not all_known.findings
    assert "nothing new is wrong" in str(all_known)


def test_what_has_passed_away_and_is_known_is_not_shown(ill, tmp_path):
    (tmp_path / "base.json").write_text(json.dumps([DEAD.fingerprint]))
    assert seewhy.diagnose(ill, baseline=tmp_path / "base.json").past == ()


def test_a_written_baseline_keeps_the_reasons_it_had(ill, tmp_path):
    path = tmp_path / "base.json"
    seewhy.diagnose(ill).write_baseline(path)
    value = json.loads(path.read_text())
    assert [entry["code"] for entry in value["findings"]] == ["learning_rate_too_high", "vanishing_gradients"]
    value["findings"][1]["reason"] = "for the lecture"
    path.write_text(json.dumps(value))
    seewhy.diagnose(ill, baseline=path).write_baseline(path)  # all are known: they stay
    assert [known.reason for known in read_baseline(path).values()] == ["", "for the lecture"]
    write_baseline(path, [GRADIENTS], {})
    assert read_baseline(path) == {
        GRADIENTS.fingerprint: Known(GRADIENTS.fingerprint, GRADIENTS.code, GRADIENTS.title, "for the lecture")
    }


@pytest.mark.parametrize("content", ["", "{}", '"x"', "[3]", '[{"code": "x"}]', '[{"fingerprint": "a", "reason": 3}]'])
def test_what_is_no_baseline_is_refused_and_not_overwritten(content, ill, tmp_path):
    path = tmp_path / "base.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"baseline: .*base\.json"):
        seewhy.diagnose(ill, baseline=path)
    with pytest.raises(InputError, match=r"baseline: .*base\.json"):
        seewhy.diagnose(ill).write_baseline(path)
    assert path.read_text() == content
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        seewhy.diagnose(ill, baseline=tmp_path / "none.json")


def assert_is_for_code_scanning(log):
    """Hold a log against what GitHub's code scanning asks of SARIF 2.1.0."""
    assert log["version"] == "2.1.0"
    assert log["$schema"].startswith("https://")
    assert log["$schema"].endswith("sarif-2.1.0.json")
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"] == "seewhy"
        for rule in driver["rules"]:
            assert rule["id"]
            for part in (rule["shortDescription"], rule["fullDescription"], rule["help"]):
                assert part["text"].strip()
                assert "{" not in part["text"]
            assert len(rule["shortDescription"]["text"]) <= 1024
            assert rule["defaultConfiguration"]["level"] in ("note", "warning", "error")
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(ids) == len(set(ids))
        for result in run["results"]:
            assert ids[result["ruleIndex"]] == result["ruleId"]
            assert result["level"] in ("note", "warning", "error")
            assert result["message"]["text"]
            assert result["locations"]
            for location in result["locations"]:
                physical = location["physicalLocation"]
                assert physical["artifactLocation"]["uri"]
                assert physical["region"]["startLine"] >= 1
                assert all(place["fullyQualifiedName"] for place in location["logicalLocations"])
            assert result["partialFingerprints"]["primaryLocationLineHash"]


def test_the_sarif_log_is_one_that_code_scanning_reads(ill, tmp_path):
    (tmp_path / "base.json").write_text(json.dumps([{"fingerprint": RATE.fingerprint, "reason": "a sweep"}]))
    log = json.loads(json.dumps(seewhy.diagnose(ill, baseline=tmp_path / "base.json").to_sarif(), allow_nan=False))
    assert_is_for_code_scanning(log)
    (run,) = log["runs"]
    assert {check.code for check in CHECKS} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    gradients, rate = run["results"]
    assert (gradients["ruleId"], gradients["level"]) == ("vanishing_gradients", "warning")
    assert (rate["ruleId"], rate["level"]) == ("learning_rate_too_high", "error")
    assert gradients["partialFingerprints"]["seewhy/v1"] == GRADIENTS.fingerprint
    (place,) = gradients["locations"][0]["logicalLocations"]
    assert place == {"fullyQualifiedName": "model.net.layers.0", "kind": "module"}
    assert gradients["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("ill/request.toml")
    assert rate["suppressions"] == [{"kind": "external", "justification": "a sweep"}]
    assert "suppressions" not in gradients


def test_a_finding_of_another_version_brings_its_own_rule(plain_run, tmp_path):
    other = type(RATE)(code="moon_phase", title="the moon is full", severity="note", step=1)
    log = seewhy.diagnose(with_findings(plain_run, tmp_path / "run", [other])).to_sarif()
    assert_is_for_code_scanning(log)
    assert log["runs"][0]["tool"]["driver"]["rules"][-1]["id"] == "moon_phase"


def test_a_result_lies_in_a_file_below_the_working_folder_where_it_can(ill, monkeypatch):
    def uri():
        result = seewhy.diagnose(ill).to_sarif()["runs"][0]["results"][0]
        return result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]

    assert uri() == (ill / "request.toml").as_uri()
    monkeypatch.chdir(ill.parent)
    assert uri() == "ill/request.toml"
