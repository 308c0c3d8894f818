"""Training on a CUDA device, where there is one; `benchmarks/gpu.py` sees more, and what needs none is in test_training_device.py."""

import pytest
import torch

from run_cases import assert_same_bits, raise_at
from seewhy import api
from seewhy.spec import build_request
from seewhy.training import loop, state
from seewhy.training.build import make_job, prepare
from seewhy.training.job import Progress

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none"),
]

SMALL = {"width": 8, "depth": 1, "batch_size": 64, "precision": "bf16", "train.device": "cuda"}
MODELS = (
    "mlp",
    "convnet",
    "resnet",
    "autoencoder",
    "vae",
    "gan",
    "pixelcnn",
    "gated_pixelcnn",
    "row_lstm",
    "diagonal_bilstm",
)


@pytest.mark.parametrize("model", MODELS)
def test_steps_wait_for_nothing_but_their_metrics(model, monkeypatch, tmp_path):
    original = loop.summed

    def allowed(*arguments):
        torch.cuda.set_sync_debug_mode("default")
        try:
            return original(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("error")

    monkeypatch.setattr(loop, "summed", allowed)
    options = {"model": model, **SMALL}
    with state.training():
        prepared = prepare(build_request("digits", None, options), lambda _: None)
        job, progress = make_job(prepared, tmp_path, lambda _: None, None), Progress()
        batches = job.batches(0, 0)
        try:
            loop._step(job, progress, next(batches), 0)  # ends with the mode that is wanted
            for _ in range(3):
                batch = next(batches)
                assert batch.images.device.type == "cuda"
                loop._step(job, progress, batch, 0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert progress.step == 4


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path):
    options = {"model": "mlp", "epochs": 2.0, "watch": False, **SMALL, "precision": "fp32"}
    api.train("digits", out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        api.train("digits", out=tmp_path / "parts", observers=[raise_at(25)], **options)
    api.resume(tmp_path / "parts", watch=False)
    assert_same_bits(tmp_path / "parts", tmp_path / "whole")
