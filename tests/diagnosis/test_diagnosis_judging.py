"""Stored records judged anew: what the live watch says, and what is only counted when it ends."""

import json

import pytest
import torch
import torch.nn.functional as F

import seewhy
from seewhy.diagnosis import rejudge
from seewhy.diagnosis.history import Entry


def watched(*, steps=120, clears=True, takes=True):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(200, 6)
    y = x[:, :3].argmax(1)
    entries = []
    with seewhy.watch(model, optimizer, tell=None, record=entries.append) as why:
        for _ in range(steps):
            if clears:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if takes:
                optimizer.step()
    assert not why.error
    return why, [Entry.from_json(json.loads(json.dumps(entry.to_json()))) for entry in entries]


@pytest.mark.parametrize("clears", [True, False])
def test_records_are_judged_as_they_were_live(clears):
    why, entries = watched(clears=clears)
    ends = {name: (why.history(name).loop, {}) for name in why.networks}
    judged = rejudge(entries, ends)
    assert [finding.code for finding in judged.findings] == [finding.code for finding in why.findings]
    assert ("zero_grad_missing" in [finding.code for finding in judged.findings]) is not clears


def test_what_is_counted_without_a_step_is_judged_at_the_end():
    why, entries = watched(takes=False)
    assert entries == []
    assert rejudge(entries).findings == ()
    judged = rejudge(entries, {"model": (why.history().loop, {})})
    assert [finding.code for finding in judged.findings] == ["step_missing"]
    assert [finding.code for finding in why.findings] == ["step_missing"]
