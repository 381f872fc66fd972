"""Throughput of input pipelines in images a second, and how much each of ours slows the training step.

    python -m experiments.benchmarks.benchmark_data                      # doodles of faces at 32x32 and 64x64
    python -m experiments.benchmarks.benchmark_data --data my_pictures.zip --sizes 64

Each pipeline shuffles, shifts by up to 4 pixels with reflected edges, mirrors, and puts float batches in [-1, 1] on the
device. tf.data needs `pip install 'gan_jax[prepare]'` and is left out without it. All pipelines alternate within one run.
Rates are medians over the turns, slowdowns of the step medians of the ratios within a turn. --out has the table as JSON.
"""

import functools
import importlib.util
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from experiments.benchmarks.turns import Turn, alternate, median_ratio, medians, rate
from gan_jax import cli, core, losses, penalties
from gan_jax.core import Advance, Players
from gan_jax.data import Order, Rounds, load, mirror, shift
from gan_jax.images.convert import to_float
from gan_jax.latents import Normal
from gan_jax.models import dcgan
from gan_jax.objectives import image_gan
from gan_jax.parallel.feeds import ahead, resident, streamed

PAD = 4


@dataclass(frozen=True)
class Config:
    data: str = "doodle_faces"
    """Data set, as in the other experiments."""
    sizes: tuple[int, ...] = (32, 64)
    """Heights and widths of the pictures."""
    n: int = 10_000
    """Number of pictures, the first of the training split."""
    batch: int = 128
    """Pictures in a batch."""
    width: int = 16
    """Width of the DCGAN whose step is fed; a narrower one takes more pictures a second."""
    seconds: float = 2.0
    """Minimum duration of a turn in seconds."""
    turns: int = 5
    """Turns of each pipeline; the training step has three times as many."""
    out: Path = Path("runs/benchmark_data.json")
    """File of the table, as JSON."""


def main(config: Config) -> None:
    table = {str(size): measure(config, size) for size in config.sizes}
    device = jax.devices()[0]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"device": device.device_kind, "jax": jax.__version__, "sizes": table}, indent=1) + "\n")
    for size, rows in table.items():
        print(f"\n{size}x{size}, batch {config.batch}, on {device.device_kind}: images/s, share of the step's appetite")
        for name, images in rows["feeds"].items():
            print(f"  {name:34} {images:12,.0f} {images / rows['appetite']:9.1f}")
        print(f"  {'DCGAN step, width ' + str(config.width):34} {rows['appetite']:12,.0f}")
        for name, cost in rows["cost"].items():
            print(f"  the step fed {name}: {cost:+.1%} slower than on one batch that never changes")
    print(f"\nwritten: {config.out}")


def measure(config: Config, size: int) -> dict[str, Any]:
    dataset = load(config.data, (size, size))
    images = np.array(dataset.train["image"][: config.n])
    mapped = {"image": dataset.train["image"][: config.n]}
    with tempfile.TemporaryDirectory() as folder:
        feeds = {
            "grain over tfds.data_source, 0 workers": functools.partial(grain_feed, images, config, Path(folder), 0),
            "grain over tfds.data_source, 2 workers": functools.partial(grain_feed, images, config, Path(folder), 2),
            "NumPy in memory": functools.partial(numpy_feed, images, config),
            "ours, memory-mapped, sent ahead": functools.partial(mapped_feed, mapped, config),
            "ours, on the device": functools.partial(resident_feed, images, config),
        }
        if importlib.util.find_spec("tensorflow"):
            feeds = {"tf.data over tfds": functools.partial(tf_feed, images, config, Path(folder))} | feeds
        rates = alternate({name: rate_of(feed, config) for name, feed in feeds.items()}, config.turns)
    speeds = alternate(step_drivers(config, mapped, size), 3 * config.turns)
    appetite = medians(speeds)["one batch"] * config.batch
    constant = speeds.pop("one batch")
    cost = {name: median_ratio(constant, speed) - 1 for name, speed in speeds.items()}
    return {"feeds": medians(rates), "appetite": appetite, "cost": cost}


def rate_of(feed: Callable[[], Iterator[jax.Array]], config: Config) -> Turn:
    """Pictures a second. Each turn opens a new iterator, so that none prefetches during the turns of the others."""

    def turn() -> float:
        batches = feed()
        return rate(lambda: next(batches).block_until_ready(), config.seconds, config.batch, warm_up=5)

    return turn


def resident_feed(images: np.ndarray, config: Config) -> Iterator[jax.Array]:
    rounds, data = our_rounds({"image": images}, config), jnp.asarray(images)
    finish = jax.jit(lambda data, plan: to_float(rounds.finish({"image": data[plan["index"]]} | plan)["image"]))
    step = 0
    while True:
        yield finish(data, rounds.plan(step))
        step += 1


def mapped_feed(mapped: dict[str, np.ndarray], config: Config) -> Iterator[jax.Array]:
    rounds = our_rounds(mapped, config)
    finish = jax.jit(lambda batch: to_float(rounds.finish(batch)["image"]))
    yield from map(finish, ahead(rounds.load, 0, 8, 2))


def our_rounds(arrays: dict[str, np.ndarray], config: Config) -> Rounds:
    return Rounds(arrays, Order(0, len(arrays["image"]), config.batch), vary=(mirror(), shift(PAD)))


def numpy_feed(images: np.ndarray, config: Config) -> Iterator[jax.Array]:
    order, generator = Order(0, len(images), config.batch), np.random.default_rng(0)
    step = 0
    while True:
        yield jax.device_put(vary(images[order(step)], generator))
        step += 1


def vary(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A batch shifted, mirrored and normalised by NumPy."""
    b, h, w, _ = images.shape
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")
    corners, flips = generator.integers(0, 2 * PAD + 1, (b, 2)), generator.integers(2, size=b)
    cut = np.stack([padded[i, top : top + h, left : left + w] for i, (top, left) in enumerate(corners)])
    cut[flips == 1] = cut[flips == 1, :, ::-1]
    return cut.astype(np.float32) / 127.5 - 1


class ToBatch:
    """Shifts, mirrors and normalises a batch in the process in which grain calls it, with a generator of its own."""

    def __init__(self, seed: int = 0):
        self.generator = np.random.default_rng(seed)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return vary(images, self.generator)


def grain_feed(images: np.ndarray, config: Config, folder: Path, workers: int) -> Iterator[jax.Array]:
    import grain
    from absl import flags

    flags.FLAGS.mark_as_parsed()  # grain's workers read absl's flags
    source = prepared(images, folder, "array_record").as_data_source(split="train")
    data = grain.MapDataset.source(source).shuffle(seed=0).repeat().map(lambda record: record["image"])
    batches = data.batch(config.batch).map(ToBatch()).to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=8))
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    yield from map(jax.device_put, batches)


def tf_feed(images: np.ndarray, config: Config, folder: Path) -> Iterator[jax.Array]:
    import tensorflow as tf

    size = images.shape[1]

    def one(record: dict[str, Any]) -> Any:
        x = tf.pad(record["image"], [[PAD, PAD], [PAD, PAD], [0, 0]], mode="REFLECT")
        x = tf.image.random_flip_left_right(tf.image.random_crop(x, [size, size, images.shape[-1]]))
        return tf.cast(x, tf.float32) / 127.5 - 1

    data = prepared(images, folder, "tfrecord").as_dataset(split="train", shuffle_files=True)
    data = data.shuffle(10_000).repeat().map(one, tf.data.AUTOTUNE).batch(config.batch).prefetch(tf.data.AUTOTUNE)
    yield from map(jax.device_put, data.as_numpy_iterator())


def prepared(images: np.ndarray, folder: Path, file_format: str) -> Any:
    """The pictures as PNGs in a tensorflow-datasets builder of this file format."""
    import tensorflow_datasets as tfds

    class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=images.shape[1:])})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            for i, image in enumerate(images):
                file = io.BytesIO()
                Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, format="png")
                file.seek(0)
                yield i, {"image": file}

    tfds.disable_progress_bar()
    builder = Pictures(data_dir=folder / file_format, file_format=file_format)
    with redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    return builder


def step_drivers(config: Config, mapped: dict[str, np.ndarray], size: int) -> dict[str, Turn]:
    """Turns of the DCGAN step by its input: our two pipelines, and one batch that stays on the device."""
    channels = mapped["image"].shape[-1]
    generator = dcgan.Generator(size=(size, size), channels=channels, width=config.width)
    discriminator = dcgan.Discriminator(width=config.width, norm="none")
    gan = image_gan(generator, discriminator, losses.non_saturating, Normal(64), ((1.0, penalties.r1),))
    tx = Players(gen=optax.adam(2e-3, b1=0.0), disc=optax.adam(2e-3, b1=0.0))
    step, rounds = core.make_step(gan, tx), our_rounds(mapped, config)
    first = rounds.finish({name: jnp.asarray(value) for name, value in rounds.load(0).items()})
    constant = resident(step, {}, lambda i: {"index": np.zeros(1, np.int32)}, lambda _: first)
    drivers: dict[str, Advance] = {
        "one batch": constant,
        "on the device": resident(step, dict(mapped), rounds.plan, rounds.finish),
        "memory-mapped, sent ahead": streamed(step, rounds.load, rounds.finish),
    }
    return {name: speed_of(advance, gan, tx, first, config) for name, advance in drivers.items()}


def speed_of(advance: Advance, gan: core.Objective, tx: Players, batch: Any, config: Config) -> Turn:
    """Rounds a second, ten in a dispatch as in training."""
    state, _ = advance(jax.jit(core.init_state, static_argnums=(0, 1))(gan, tx, jax.random.key(0), batch), 0, 10)
    at = 10

    def play() -> None:
        nonlocal state, at
        state, metrics = advance(state, at, 10)
        jax.block_until_ready(metrics)
        at += 10

    return functools.partial(rate, play, config.seconds, 10)


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
