"""Runnable scripts, one a subject: `python -m experiments.NAME --help`."""
