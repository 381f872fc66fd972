"""The wheel has the experiments inside of gan_jax; all else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=["gan_jax*"]) + [f"gan_jax.{name}" for name in find_packages(include=["experiments*"])],
    package_dir={"gan_jax.experiments": "experiments"},
)
