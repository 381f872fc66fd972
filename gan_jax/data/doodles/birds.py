"""Drawn birds: sampling their truths (size, colours, pose, place), attributes and captions."""

import numpy as np

from gan_jax.data.doodles.bird_drawing import draw_bird
from gan_jax.data.doodles.drawn import Kind, drawn_source, one_hot
from gan_jax.data.doodles.truths import BIRD_COLOURS, BIRD_PARTS, Bird, BirdStyle
from gan_jax.data.source import Source


def sample_bird(generator: np.random.Generator) -> Bird:
    """A bird with independent attributes, except that in 30 % the crown has the colour of the breast."""
    large, right, flying = (bool(chance < 0.5) for chance in generator.random(3))
    breast, crown, wings = (BIRD_COLOURS[i] for i in generator.integers(len(BIRD_COLOURS), size=3))
    alike = bool(generator.random() < 0.3)
    room = (0.05, 0.06) if large else (0.28, 0.22)
    return Bird(
        large=large,
        breast=breast,
        crown=breast if alike else crown,
        wings=wings,
        right=right,
        flying=flying,
        x=float(generator.uniform(-room[0], room[0])),
        y=float(generator.uniform(-room[1], room[1])),
        style=BirdStyle(*generator.uniform(-1, 1, len(BirdStyle._fields)).tolist()),
    )


def miscounted_bird(bird: Bird, generator: np.random.Generator) -> Bird:
    """The bird unchanged, since nothing of it is counted."""
    return bird


def bird_attributes(bird: Bird) -> dict[str, float]:
    """The truth as numbers: 0 or 1, and the place in halves of the shorter side."""
    numbers = {name: float(getattr(bird, name)) for name in ("large", "right", "flying", "x", "y")}
    colours = [one_hot(part, BIRD_COLOURS, getattr(bird, part)) for part in BIRD_PARTS]
    return numbers | colours[0] | colours[1] | colours[2]


def caption_bird(bird: Bird) -> tuple[str, ...]:
    """Three captions: size and colours, the same in another order, and the colours alone."""
    size, breast, crown, wings = "large" if bird.large else "small", bird.breast, bird.crown, bird.wings
    front = f"{breast} breast and crown" if breast == crown else f"{breast} breast, {_a(crown)} {crown} crown"
    return (
        f"{_a(size)} {size} bird with {_a(breast)} {front} and {wings} wings",
        f"this bird is {size} and has {wings} wings, {_a(crown)} {crown} crown and {_a(breast)} {breast} breast",
        f"the bird has {_a(crown)} {crown} crown, {_a(breast)} {breast} breast and {wings} wings",
    )


def _a(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def parse_caption(text: str) -> dict[str, str]:
    """The attributes that a caption of `caption_bird` names, of `size`, `breast`, `crown` and `wings`."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    said = next(({"size": word} for word in words if word in ("small", "large")), {})
    for part in BIRD_PARTS:
        if part in words:
            named = [word for word in words[: words.index(part)] if word in BIRD_COLOURS]  # the last one before it
            said |= {part: named[-1]} if named else {}
    return said


BIRDS = Kind("doodle_birds", "1", sample_bird, draw_bird, bird_attributes, caption_bird, miscounted_bird)


def doodle_birds(n: int = 20_000, held_out: int = 2_000, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Source:
    """Drawn birds of `size` (h, w); picture i is a function of the seed and i. See `drawn_source` for errors."""
    return drawn_source(BIRDS, n, held_out, seed, size)
