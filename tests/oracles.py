"""Other people's packages that say what is right."""

import pytest

from experiments.benchmarks.peers import peer


def oracle(name):
    """The module `name`; without it the test, or the file, is skipped."""
    try:
        return peer(name)
    except ImportError:
        pytest.skip(f"{name} is an oracle: pip install '.[oracles]'", allow_module_level=True)
