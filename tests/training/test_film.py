"""The film at the end of a run, of sheets that may be damaged."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gan_jax.images import save
from gan_jax.runs import Run
from gan_jax.training.callbacks import make_film


@dataclass(frozen=True)
class Config:
    lr: float = 0.1


def test_a_damaged_sheet_is_left_out_and_told(tmp_path):
    with Run(tmp_path / "run", Config(), "f") as run:
        for step in range(4):
            save(np.full((8, 8, 3), 60 * step, np.uint8), run.path(f"samples/{step:06}.png"))
        run.path("samples/000001.png").write_bytes(b"\x89PNG torn")
        save(np.zeros((4, 8, 3), np.uint8), run.path("samples/000002.png"))
        films = make_film(run)
    with Image.open(films[0]) as film:
        assert film.n_frames == 2
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("is left out of the film") == 2
    assert not [path for path in (tmp_path / "run" / "video").iterdir() if path.name.startswith(".")]
