"""What the README shows runs as it stands there; its commands, flags and links are those of `test_pages`."""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def test_the_ten_lines():
    readme = (ROOT / "README.md").read_text()
    code = readme.split("```python")[1].split("```")[0]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert int(names["state"].step) == 1
    assert np.isfinite(float(names["metrics"]["disc/loss"]))
