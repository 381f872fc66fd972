"""Parts of gan_jax in research code of one's own, each in a file of its own: `python -m experiments.research.NAME`."""
