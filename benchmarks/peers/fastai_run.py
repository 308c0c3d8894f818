"""Train fastai's xresnet18 on a folder of small images.

Recipe: fastai's own CIFAR-10 idiom (pad by 4, crop, flip, one cycle of Adam with decoupled weight decay, lr 3e-3).

stock
    xresnet18 as it comes, float32: fastai's `to_bf16()` enters autocast for CUDA only and does nothing on a processor.
small
    In the peer's favour: the stem's max-pooling is left out, so that 32 px are not reduced fourfold before the
    first block, and fastai's mixed precision is corrected to enter autocast on the processor, with channels last.
"""

import record  # first: it starts the clock

# isort: split

import fastai
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.vision.all import (
    Callback,
    CancelTrainException,
    CancelValidException,
    CropPad,
    FlipItem,
    ImageDataLoaders,
    Learner,
    Normalize,
    ProgressCallback,
    RandomCrop,
    Recorder,
    accuracy,
    cifar_stats,
    set_seed,
    xresnet18,
)

BATCH = 128
LR = 3e-3
WEIGHT_DECAY = 0.1


class ProcessorBf16(MixedPrecision):
    """fastai's bf16 callback, with autocast for the processor in place of CUDA's."""

    def __init__(self) -> None:
        super().__init__(amp_mode=AMPMode.BF16)

    def before_fit(self) -> None:
        """Prepare as fastai does, then replace its autocast."""
        super().before_fit()
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16)


class Log(Callback):
    """Hands fastai's events to the recorder."""

    order = 90  # after fastai's own Recorder, whose values it reads

    def __init__(self, times: record.Recorder, steps: int) -> None:
        self.times, self.steps = times, steps

    def before_train(self) -> None:
        """Start an epoch."""
        self.times.begin_epoch()

    def after_batch(self) -> None:
        """Mark a training step, and stop after the last one asked for."""
        if self.training:
            self.times.step()
            if self.steps and self.iter + 1 >= self.steps:
                raise CancelTrainException

    def after_train(self) -> None:
        """End the epoch's training."""
        self.times.end_training()

    def after_epoch(self) -> None:
        """Write the epoch's line."""
        self.times.end_epoch(None if self.steps else float(self.recorder.log[3]))


class NoValidation(Callback):
    """Skips the evaluation when only steps are timed."""

    def before_validate(self) -> None:
        """Cancel it."""
        raise CancelValidException


def main() -> None:
    options = record.options(("small", "stock"))
    log = record.Recorder(
        options.log,
        peer="fastai",
        version=fastai.__version__,
        torch=torch.__version__,
        recipe=options.recipe,
        description="xresnet18, one cycle, Adam 3e-3, batch 128, crop and flip, 2 workers, "
        + ("bf16, no stem pooling" if options.recipe == "small" else "float32"),
        batch_size=BATCH,
        epochs=options.epochs,
        seed=options.seed,
    )
    set_seed(options.seed)
    loaders = ImageDataLoaders.from_folder(
        options.data,
        train="train",
        valid="test",
        bs=BATCH,
        val_bs=500,
        item_tfms=[CropPad(40), RandomCrop(32), FlipItem()],
        batch_tfms=[Normalize.from_stats(*cifar_stats)],
        num_workers=2,
        device=torch.device("cpu"),
    )
    model = xresnet18(n_out=len(loaders.vocab))
    callbacks = [Log(log, options.steps)]
    if options.recipe == "small":
        model[3] = torch.nn.Identity()
        callbacks += [ChannelsLast(), ProcessorBf16()]
    if options.steps:
        callbacks.append(NoValidation())
    learner = Learner(loaders, model, metrics=accuracy, cbs=callbacks)
    learner.remove_cb(ProgressCallback)
    assert isinstance(learner.recorder, Recorder)
    log.ready()
    learner.fit_one_cycle(options.epochs, LR, wd=WEIGHT_DECAY)


if __name__ == "__main__":
    main()
