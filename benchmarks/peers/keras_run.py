"""Train a Keras 3 convolutional network on a folder of small images, on TensorFlow.

Keras' usual idiom: six 3x3 convolutions with batch normalisation, `image_dataset_from_directory`, a cached `tf.data`
pipeline with random flip and translation, Adam with a cosine schedule.
"""

import record  # first: it starts the clock

# isort: split

import keras
import tensorflow as tf
from keras import layers

BATCH = 128
LR = 2e-3
RECIPES = ("bf16", "float32")


def datasets(options) -> tuple[tf.data.Dataset, tf.data.Dataset, int]:
    """Return the batches for training and for evaluation, and the steps of an epoch.

    Decoded images are cached in memory before the first step, which fills the shuffle buffer; augmentation runs beside
    the training.
    """

    def folder(split: str) -> tf.data.Dataset:
        return keras.utils.image_dataset_from_directory(
            options.data / split, image_size=(32, 32), batch_size=None, shuffle=split == "train", seed=options.seed
        )

    augment = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomTranslation(0.125, 0.125, fill_mode="constant")]
    )
    training = folder("train")
    count = int(training.cardinality())
    training = training.cache().shuffle(count, seed=options.seed).batch(BATCH)
    training = training.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    if options.steps:
        training = training.take(options.steps)
    steps = options.steps or -(-count // BATCH)
    return training.prefetch(tf.data.AUTOTUNE), folder("test").batch(500).cache().prefetch(tf.data.AUTOTUNE), steps


def build(classes: int) -> keras.Model:
    stack = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 127.5, offset=-1)]
    for width in (32, 64, 128):
        for _ in range(2):
            stack += [layers.Conv2D(width, 3, padding="same", use_bias=False), layers.BatchNormalization()]
            stack += [layers.ReLU()]
        stack += [layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.3)]
    return keras.Sequential([*stack, layers.Dense(classes, dtype="float32")])


class Log(keras.callbacks.Callback):
    """Hands Keras' events to the recorder."""

    def __init__(self, times: record.Recorder, *, evaluates: bool) -> None:
        super().__init__()
        self.times, self.evaluates = times, evaluates

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Start an epoch."""
        self.times.begin_epoch()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Mark a training step."""
        self.times.step()

    def on_test_begin(self, logs=None) -> None:
        """End the epoch's training."""
        self.times.end_training()

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Write the epoch's line."""
        if not self.evaluates:
            self.times.end_training()
        self.times.end_epoch(float(logs["val_accuracy"]) if self.evaluates else None)


def main() -> None:
    options = record.options(RECIPES)
    log = record.Recorder(
        options.log,
        peer="keras",
        version=keras.__version__,
        tensorflow=tf.__version__,
        recipe=options.recipe,
        description="six 3x3 convolutions 32-64-128 with BN, Adam 2e-3 cosine, batch 128, flip and translation, cached "
        f"tf.data, {options.recipe}",
        batch_size=BATCH,
        epochs=options.epochs,
        seed=options.seed,
    )
    keras.utils.set_random_seed(options.seed)
    if options.recipe == "bf16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    training, test, steps = datasets(options)
    model = build(10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, options.epochs * steps - steps, warmup_target=LR, warmup_steps=steps
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    log.ready()
    evaluates = not options.steps
    times = Log(log, evaluates=evaluates)
    model.fit(
        training,
        epochs=options.epochs,
        validation_data=test if evaluates else None,
        callbacks=[times],
        shuffle=False,
        verbose=0,
    )


if __name__ == "__main__":
    main()
