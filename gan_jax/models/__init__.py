"""Flax modules: generators, discriminators, classifiers."""
