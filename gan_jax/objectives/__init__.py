"""Data flows of games: functions that bind networks, losses and latents to an `Objective`."""

from gan_jax.objectives.image import image_gan, image_sampler

__all__ = ["image_gan", "image_sampler"]
