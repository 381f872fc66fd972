"""Drawn faces, birds and flowers: pictures without end whose every attribute is known.

They stand for what the talk shows of real ones: arithmetic with glasses and sexes, wrong numbers of eyes, text to image,
poses, and generators that draw one kind of flower only.
"""

from gan_jax.data.doodles.birds import BIRDS, doodle_birds, draw_bird
from gan_jax.data.doodles.drawn import Kind, truth_of
from gan_jax.data.doodles.faces import FACES, doodle_faces, draw_face
from gan_jax.data.doodles.flowers import FLOWERS, doodle_flowers, draw_flower
from gan_jax.data.doodles.truths import Bird, Face, Flower

KINDS: dict[str, Kind] = {"faces": FACES, "birds": BIRDS, "flowers": FLOWERS}

__all__ = [
    "BIRDS",
    "FACES",
    "FLOWERS",
    "KINDS",
    "Bird",
    "Face",
    "Flower",
    "Kind",
    "doodle_birds",
    "doodle_faces",
    "doodle_flowers",
    "draw_bird",
    "draw_face",
    "draw_flower",
    "truth_of",
]
