"""The same numbers on this machine, on Dask and on Ray: on clusters that the test starts, of which a worker is killed midway."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from comparison_cases import ACCURACY, design_of

import forkserver
from seewhy.comparison.execute import work
from seewhy.comparison.folder import StudyFolder
from seewhy.comparison.progress import Progress
from seewhy.comparison.results import read_outcome
from seewhy.runs.stopping import LAUNCHER
from seewhy.spec import Request
from seewhy.training import state
from seewhy.training.build import prepare

BASE = {"model": "mlp", "width": 8, "depth": 1, "epochs": 0.5, "precision": "fp32", "train.threads": 1}


@pytest.fixture(scope="module")
def design():
    base = Request.make("digits", BASE)
    with state.training():
        fingerprint = prepare(base, lambda _: None).dataset.fingerprint
    return design_of({"activation": ["tanh", "elu"]}, base=base, fingerprint=fingerprint, metric=ACCURACY, seeds=(0, 1))


def values(study):
    return {(row.variant, row.seed): (row.status, row.value) for row in read_outcome(study).rows}


@pytest.fixture(scope="module")
def local(design, tmp_path_factory):
    study = StudyFolder.create(tmp_path_factory.mktemp("local") / "study", design)
    work(study, at_once=2)
    return values(study)


@contextmanager
def dask_cluster(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    dask = pytest.importorskip("dask")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        distributed.utils.get_mp_context()  # it names what is imported before the forks; the last word is ours
        forkserver.context()
        with distributed.LocalCluster(**options) as cluster:
            yield cluster.scheduler_address


@contextmanager
def ray_cluster(monkeypatch):
    ray = pytest.importorskip("ray", reason="the ray extra is not installed")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield None
    finally:
        ray.shutdown()


def parents():
    """Return every process's parent and command."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in shown.splitlines()]
    return {int(row[0]): (int(row[1]), row[2] if len(row) > 2 else "") for row in rows}


def own_workers():
    """Return the workers that this process's clusters have started and that run a study: the parents of servers of runs."""
    known, found = parents(), []
    for parent, command in known.values():
        if "seewhy.runs.server" not in command or parent == os.getpid():
            continue
        ancestor = parent
        while ancestor in known and ancestor != os.getpid():
            ancestor = known[ancestor][0]
        if ancestor == os.getpid():
            found.append(parent)
    return found


@pytest.mark.parametrize(("engine", "cluster"), [("dask", dask_cluster), ("ray", ray_cluster)])
def test_a_cluster_gives_the_same_numbers_though_a_worker_is_killed(
    engine, cluster, design, local, tmp_path, monkeypatch
):
    monkeypatch.delenv(LAUNCHER, raising=False)
    study, killed = StudyFolder.create(tmp_path / "study", design), []

    def told(progress: Progress):
        if not killed and any(study.folder.glob("runs/*/*/spec.toml")):
            killed.extend(own_workers()[:1])
            for worker in killed:
                os.kill(worker, signal.SIGKILL)

    with cluster(monkeypatch) as address:
        start = time.monotonic()
        work(study, at_once=2, engine=engine, address=address, told=told)
    assert killed, f"no worker was found in {time.monotonic() - start:.0f} s"
    assert values(study) == local
    assert {status for status, _ in local.values()} == {"ended"}
