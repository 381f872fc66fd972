"""Data flows of games: functions that bind networks, losses and latents to an `Objective`."""

from gan_jax.objectives.classes import class_gan
from gan_jax.objectives.image import image_gan, image_sampler
from gan_jax.objectives.superres import superres, superres_gan, superres_sampler
from gan_jax.objectives.text import text_gan, text_sampler

__all__ = [
    "class_gan",
    "image_gan",
    "image_sampler",
    "superres",
    "superres_gan",
    "superres_sampler",
    "text_gan",
    "text_sampler",
]
