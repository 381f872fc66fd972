"""Drawn flowers: sampling their truths (petals, stamens, direction, tilt, place), attributes and captions."""

import numpy as np

from gan_jax.data.doodles.drawn import Kind, drawn_source, one_hot
from gan_jax.data.doodles.flower_drawing import draw_flower
from gan_jax.data.doodles.truths import COUNTS, LARGE, PETAL_COLOURS, SMALL, STAMEN_COLOURS, Flower, FlowerStyle
from gan_jax.data.source import Source

WORDS = {4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}


def sample_flower(generator: np.random.Generator) -> Flower:
    """A flower with independent attributes, except that petals and stamens have different colours."""
    petals = PETAL_COLOURS[generator.integers(len(PETAL_COLOURS))]
    others = [colour for colour in STAMEN_COLOURS if colour != petals]
    count = COUNTS[generator.integers(len(COUNTS))]
    size = float(generator.uniform(*(SMALL, LARGE)[generator.integers(2)]))
    room = max(0.06, 0.9 - size)
    return Flower(
        petals=petals,
        stamens=others[generator.integers(len(others))],
        petal_count=count,
        petal_size=size,
        rotation=float(generator.uniform(0, 360 / count)),
        tilt=float(generator.uniform(0, 40)),
        tilt_direction=float(generator.uniform(0, 360)),
        x=float(generator.uniform(-room, room)),
        y=float(generator.uniform(-room, room)),
        style=FlowerStyle(*generator.uniform(-1, 1, len(FlowerStyle._fields)).tolist()),
    )


def miscounted_flower(flower: Flower, generator: np.random.Generator) -> Flower:
    """The flower unchanged, since any number of petals is right."""
    return flower


def flower_attributes(flower: Flower) -> dict[str, float]:
    """The truth as numbers: colours as 0 or 1, angles in degrees, lengths and places in halves of the shorter side."""
    names = ("petal_count", "petal_size", "rotation", "tilt", "tilt_direction", "x", "y")
    numbers = {name: float(getattr(flower, name)) for name in names}
    return one_hot("petals", PETAL_COLOURS, flower.petals) | one_hot("stamens", STAMEN_COLOURS, flower.stamens) | numbers


def caption_flower(flower: Flower) -> tuple[str, ...]:
    """Three captions: the colours, these with the size, and both with the number of petals."""
    size = "large" if flower.petal_size > (SMALL[1] + LARGE[0]) / 2 else "small"
    petals, stamens, count = flower.petals, flower.stamens, WORDS[flower.petal_count]
    return (
        f"{petals} petals and {stamens} stamens",
        f"a flower with {size} {petals} petals around {stamens} stamens",
        f"this flower has {count} {size} petals that are {petals}, and its stamens are {stamens}",
    )


def parse_caption(text: str) -> dict[str, str | int]:
    """The attributes that a caption of `caption_flower` names, of `petals`, `stamens`, `size` and `petal_count`."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    said: dict[str, str | int] = {}
    for part, colours in (("petals", PETAL_COLOURS), ("stamens", STAMEN_COLOURS)):
        if part in words:
            place = words.index(part)
            after = words[place + 1 : place + 4]  # "petals that are white", "stamens are yellow"
            candidates = after if "are" in after else words[place - 1 : place]
            named = next((word for word in candidates if word in colours), None)
            if named is not None:
                said[part] = named
    numbers = {word: count for count, word in WORDS.items()}
    for word in words:
        if word in numbers:
            said["petal_count"] = numbers[word]
        elif word in ("small", "large"):
            said["size"] = word
    return said


FLOWERS = Kind("doodle_flowers", "1", sample_flower, draw_flower, flower_attributes, caption_flower, miscounted_flower)


def doodle_flowers(n: int = 20_000, held_out: int = 2_000, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Source:
    """Drawn flowers of `size` (h, w); picture i is a function of the seed and i. See `drawn_source` for errors."""
    return drawn_source(FLOWERS, n, held_out, seed, size)
