"""How fast pictures come, by every way of feeding them, and what that leaves of the training step.

    python -m experiments.benchmarks.benchmark_data                        drawn faces at 32x32 and 64x64
    python -m experiments.benchmarks.benchmark_data --data my_pictures.zip --sizes 64

Each way shuffles, shifts by up to 4 pixels with reflected edges, mirrors, and gives float batches of 128 in [-1, 1] on the
device. tf.data needs `pip install 'gan_jax[prepare]'` and is left out without it. All ways take turns within one run; printed
are medians over the turns, for the step's slowing of the ratios within a turn. The table goes to --out as JSON too.
"""

import functools
import importlib.util
import io
import json
import statistics
import tempfile
import time
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
    """What to feed, as in the other experiments."""
    sizes: tuple[int, ...] = (32, 64)
    """Heights and widths of the pictures."""
    n: int = 10_000
    """Take so many pictures."""
    batch: int = 128
    """Pictures in a batch."""
    width: int = 16
    """Of the DCGAN that the feeds are compared with; a smaller one eats more pictures."""
    seconds: float = 2.0
    """Length of one turn of one way."""
    turns: int = 5
    """How often each way has its turn."""
    out: Path = Path("runs/benchmark_data.json")
    """Where the table goes."""


def main(config: Config) -> None:
    table = {str(size): measure(config, size) for size in config.sizes}
    device = jax.devices()[0]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"device": device.device_kind, "jax": jax.__version__, "sizes": table}, indent=1) + "\n")
    for size, rows in table.items():
        print(f"\n{size}x{size}, batch {config.batch}, on {device.device_kind}: images/s, share of the step's appetite")
        for name, rate in rows["feeds"].items():
            print(f"  {name:34} {rate:12,.0f} {rate / rows['appetite']:9.1f}")
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
    constant = speeds.pop("one batch")
    cost = {
        name: statistics.median(alone / fed for alone, fed in zip(constant, speed, strict=True)) - 1
        for name, speed in speeds.items()
    }
    rates_of_feeds = {name: statistics.median(rate) for name, rate in rates.items()}
    return {"feeds": rates_of_feeds, "appetite": statistics.median(constant) * config.batch, "cost": cost}


def alternate(turns: dict[str, Callable[[], float]], times: int) -> dict[str, list[float]]:
    """What each gives, all taking turns."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(times):
        for name, turn in turns.items():
            found[name].append(turn())
    return found


def rate_of(feed: Callable[[], Iterator[jax.Array]], config: Config) -> Callable[[], float]:
    """A turn: pictures a second over `seconds`, of a new iterator, so that none reads ahead in the others' turns."""

    def turn() -> float:
        batches = feed()
        for _ in range(5):
            next(batches).block_until_ready()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < config.seconds:
            next(batches).block_until_ready()
            count += config.batch
        return count / (time.perf_counter() - start)

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
    """Shift, mirror and normalise a batch in NumPy."""
    b, h, w, _ = images.shape
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")
    corners, flips = generator.integers(0, 2 * PAD + 1, (b, 2)), generator.integers(2, size=b)
    cut = np.stack([padded[i, top : top + h, left : left + w] for i, (top, left) in enumerate(corners)])
    cut[flips == 1] = cut[flips == 1, :, ::-1]
    return cut.astype(np.float32) / 127.5 - 1


class ToBatch:
    """Decodes and varies a list of records, in whatever process grain runs it."""

    def __init__(self, seed: int = 0):
        self.generator = np.random.default_rng(seed)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return vary(images, self.generator)


def grain_feed(images: np.ndarray, config: Config, folder: Path, workers: int) -> Iterator[jax.Array]:
    import grain
    from absl import flags

    flags.FLAGS.mark_as_parsed()  # grain's workers ask absl
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
    """The pictures as a set of tensorflow-datasets, PNG in files of this format."""
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


def step_drivers(config: Config, mapped: dict[str, np.ndarray], size: int) -> dict[str, Callable[[], float]]:
    """Rounds a second of the DCGAN step, fed in our two ways, and on one batch that lies on the device."""
    channels = mapped["image"].shape[-1]
    generator = dcgan.Generator(size=(size, size), channels=channels, width=config.width)
    discriminator = dcgan.Discriminator(width=config.width, norm="none")
    gan = image_gan(generator, discriminator, losses.non_saturating, Normal(64), ((1.0, penalties.r1),))
    tx = Players(gen=optax.adam(2e-3, b1=0.0), disc=optax.adam(2e-3, b1=0.0))
    step, rounds = core.make_step(gan, tx), our_rounds(mapped, config)
    first = rounds.finish({name: jnp.asarray(value) for name, value in rounds.load(0).items()})
    constant = resident(step, {}, lambda i: {"index": np.zeros(1, np.int32)}, lambda _: first)
    ways: dict[str, Advance] = {
        "one batch": constant,
        "on the device": resident(step, dict(mapped), rounds.plan, rounds.finish),
        "memory-mapped, sent ahead": streamed(step, rounds.load, rounds.finish),
    }
    return {name: speed_of(advance, gan, tx, first, config) for name, advance in ways.items()}


def speed_of(advance: Advance, gan: core.Objective, tx: Players, batch: Any, config: Config) -> Callable[[], float]:
    """A turn: rounds a second, ten in a dispatch as in training."""
    state, _ = advance(jax.jit(core.init_state, static_argnums=(0, 1))(gan, tx, jax.random.key(0), batch), 0, 10)
    at = 10

    def turn() -> float:
        nonlocal state, at
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < config.seconds:
            state, metrics = advance(state, at, 10)
            jax.block_until_ready(metrics)
            at, count = at + 10, count + 10
        return count / (time.perf_counter() - start)

    return turn


if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
