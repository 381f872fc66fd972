"""Drawn faces, birds and flowers: any number of pictures whose every attribute is known.

They replace photographs where a generator is compared with the truth: arithmetic with glasses and sex, numbers of eyes,
text to image, poses, and mode collapse to one kind of flower.
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
