"""Train a timm model on a folder of small images in the plainest loop, with timm's loader, optimiser and schedule.

The settings are those of timm's `train.py` with `--amp --amp-dtype bfloat16 --channels-last --sched-on-updates` on the
processor: SGD with Nesterov momentum, label smoothing 0.1, cosine schedule. Crop with padding and flip replace the
random resized crop, which is meant for large photographs.

pool
    resnet18 whose first convolution is 3x3 with stride 1; the stem's max-pooling stays (16 x 16 in the first block).
full
    The known CIFAR form: no pooling either (32 x 32 in the first block; four times the work).
stock
    resnet18 as it comes, its stem reducing 32 px to 8.
"""

import record  # first: it starts the clock

# isort: split

import timm
import torch
from timm.data import create_dataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn
from torchvision import transforms

BATCH = 128
LR = 0.1
WEIGHT_DECAY = 5e-4
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def build(recipe: str) -> nn.Module:
    model = timm.create_model("resnet18", num_classes=10)
    if recipe != "stock":
        model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if recipe == "full":
        model.maxpool = nn.Identity()
    return model.to(memory_format=torch.channels_last)


def loader(folder, *, training: bool):
    dataset = create_dataset("", root=folder, split="train" if training else "test")
    batches = create_loader(
        dataset,
        input_size=(3, 32, 32),
        batch_size=BATCH if training else 500,
        is_training=training,
        no_aug=True,
        num_workers=2,
        use_prefetcher=False,
        device=torch.device("cpu"),
    )
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if training else []
    dataset.transform = transforms.Compose([*augment, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    return batches


def evaluate(model: nn.Module, batches) -> float:
    model.eval()
    right = total = 0
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for images, labels in batches:
            logits = model(images.to(memory_format=torch.channels_last))
            right += (logits.argmax(1) == labels).sum().item()
            total += len(labels)
    return right / total


def train(model: nn.Module, options, log: record.Recorder) -> None:
    training, test = loader(options.data, training=True), loader(options.data, training=False)
    criterion = LabelSmoothingCrossEntropy(0.1)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=LR, weight_decay=WEIGHT_DECAY, momentum=0.9)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=options.epochs,
        warmup_epochs=1,
        warmup_prefix=False,
        step_on_epochs=False,
        updates_per_epoch=len(training),
    )
    log.ready()
    for epoch in range(options.epochs):
        log.begin_epoch()
        model.train()
        for step, (images, labels) in enumerate(training, 1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = criterion(model(images.to(memory_format=torch.channels_last)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step_update(epoch * len(training) + step)
            log.step()
            if options.steps and step >= options.steps:
                break
        log.end_training()
        log.end_epoch(None if options.steps else evaluate(model, test))


def main() -> None:
    options = record.options(("pool", "full", "stock"))
    stem = {"pool": "3x3 stem with pooling", "full": "3x3 stem without pooling", "stock": "stock stem"}
    log = record.Recorder(
        options.log,
        peer="timm",
        version=timm.__version__,
        torch=torch.__version__,
        recipe=options.recipe,
        description=f"resnet18, {stem[options.recipe]}, SGD 0.1 cosine, batch 128, crop and flip, 2 workers, bf16",
        batch_size=BATCH,
        epochs=options.epochs,
        seed=options.seed,
    )
    timm.utils.random_seed(options.seed)
    train(build(options.recipe), options, log)


if __name__ == "__main__":
    main()
