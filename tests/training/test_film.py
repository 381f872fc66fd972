"""The film of a run: which sheets it shows, its curves, sheets that may be damaged."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import film as command
from gan_jax.errors import InputError
from gan_jax.images import save
from gan_jax.rows import geometrically
from gan_jax.runs import Run
from gan_jax.runs.records import append_row, write_json
from gan_jax.training import curves
from gan_jax.training.film import frames_of, make_film, progress_film


@dataclass(frozen=True)
class Config:
    lr: float = 0.1


def draw_sheets(directory: Path, steps, size=(8, 8)) -> Path:
    """A run of which only the sheets are kept."""
    (directory / "samples").mkdir(parents=True, exist_ok=True)
    write_json(directory / "env.json", {"versions": {"gan_jax": "0"}})
    for i, step in enumerate(steps):
        save(np.full((*size, 3), 10 * i % 256, np.uint8), directory / "samples" / f"{step:06}.png")
    return directory


@pytest.fixture
def without_ffmpeg(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


def test_a_damaged_sheet_is_left_out_and_told(tmp_path, without_ffmpeg):
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


@pytest.mark.parametrize(("n", "k"), [(2, 2), (7, 6), (31, 20), (1000, 120)])
def test_early_sheets_are_dense_and_the_last_one_is_shown(n, k):
    found = geometrically(n, k)
    assert len(set(found.tolist())) == len(found) <= k
    assert (found[0], found[-1]) == (0, n - 1)
    distances = np.diff(found)
    assert distances[0] == 1 or n == k == 2
    assert (np.diff(distances) >= -1).all()  # they grow, to within rounding


def test_frames_have_the_rounds_of_their_sheets(tmp_path):
    run = draw_sheets(tmp_path / "run", range(0, 1000, 10))
    frames = frames_of(run, print, 12)
    steps = [frame.step for frame in frames]
    assert steps[:3] == [0, 10, 20]
    assert steps[-1] == 990
    assert all(frame.sheet[0, 0, 0] == frame.step % 256 for frame in frames)


def test_of_many_sheets_half_are_shown_and_half_of_these_are_early(tmp_path):
    frames = frames_of(draw_sheets(tmp_path / "run", range(0, 8000, 50)), print)
    steps = [frame.step for frame in frames]
    assert 70 <= len(steps) <= 80
    assert steps[len(steps) // 2] < 8000 / 3.5
    assert len(frames_of(tmp_path / "run", print, 1000)) == 160
    assert len(frames_of(draw_sheets(tmp_path / "short", range(0, 600, 10)), print)) == 60


def test_the_film_with_curves(tmp_path, without_ffmpeg):
    run = draw_sheets(tmp_path / "run", (0, 50, 100))
    for step in (25, 50, 75, 100):
        append_row(run / "metrics.jsonl", {"step": step, "disc/real": 0.6, "disc/fake": 0.4})
    plain = progress_film(draw_sheets(tmp_path / "plain", (0, 50, 100)), print)
    files = command.main(command.Config(run=run, out=tmp_path / "out"))
    assert [path.name for path in files] == ["progress.webp", "progress.png"]
    assert not (run / "video").exists()
    with Image.open(plain[0]) as without, Image.open(files[0]) as film:
        assert film.n_frames == 3
        assert film.width == without.width == 480
        assert film.height == without.height + 200  # the curves
    with Image.open(files[1]) as strip:
        assert strip.width == 3 * 320 + 2 * 6


def test_an_mp4_alone_where_it_can_be_made(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    files = progress_film(draw_sheets(tmp_path / "run", (0, 50)), print)
    assert sorted(path.name for path in (tmp_path / "run" / "video").iterdir()) == ["progress.mp4", "progress.png"]
    assert files[0].stat().st_size > 0


def test_what_comes_later_is_faded():
    rows = [{"step": step, "disc/real": 0.6, "disc/fake": 0.4} for step in range(10, 410, 10)]
    plot = curves.plot(curves.metric_panels(rows), 400, 150, last=400)
    (top, bottom, left, right), middle = plot.boxes[0], plot.position[0](100)
    assert middle == pytest.approx((left + right) / 2, abs=2)  # of the scale of square roots
    seen = plot.until(100)
    np.testing.assert_array_equal(seen[top:bottom, left:middle], plot.pixels[top:bottom, left:middle])
    assert seen[top:bottom, middle + 1 : right].mean() > plot.pixels[top:bottom, middle + 1 : right].mean()


def test_curves_of_scores_without_the_untrained_generator():
    scores = [{"step": step, "source": "training", "kid": 1.0 / (step + 1), "kid_floor": 0.01} for step in (0, 10, 20)]
    scores += [{"step": 20, "source": "training", "recognised": 0.5}, {"step": 20, "kid": 3.0, "protocol": {}}]
    panels = curves.score_panels(scores, first="kid")
    assert [list(panel.lines) for panel in panels] == [["kid"], ["recognised"]]
    assert panels[0].lines["kid"][0] == [10, 20]
    assert panels[0].floor == 0.01


def test_a_run_without_enough_sheets(tmp_path):
    for steps, told in (((), "no sheets of samples"), ((0,), "1 sheet of samples")):
        run = draw_sheets(tmp_path / f"run{len(steps)}", steps)
        with pytest.raises(InputError, match=f"has {told}, and a film needs two or more: train on"):
            command.main(command.Config(run=run))
        assert not (run / "video").exists()
    with pytest.raises(InputError, match="is no run: name the directory of one"):
        command.main(command.Config(run=tmp_path))
    run = draw_sheets(tmp_path / "run", (0, 5))
    with pytest.raises(InputError, match="samples"):
        command.main(command.Config(run=run, out=run / "samples"))
