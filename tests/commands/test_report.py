"""The page of a run: everything is inside, nothing of what the run says becomes markup."""

import base64
import dataclasses
import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import report
from gan_jax.data import PictureFlags
from gan_jax.errors import InputError
from gan_jax.images import save
from gan_jax.runs.records import append_row, read_json, write_json
from tests.browser import document, screenshot
from tests.commands.test_runs_of_scripts import draw_pictures
from tests.runs.test_trained import write_run

PROTOCOL = {"features": "pixels", "samples_compared": 300}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run on pictures/ with sheets, rows, scores and a diagnosis, whose flags hold markup."""
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "run")
    flags = PictureFlags(data=str(draw_pictures(folder / "pictures")), image_size="16")
    write_json(run / "config.json", {**dataclasses.asdict(flags), "note": "<script>alert(1)</script>"})
    write_json(run / "env.json", read_json(run / "env.json") | {"data": flags.load().fingerprint})
    for step in (0, 50, 100):
        (run / "samples").mkdir(exist_ok=True)
        save(np.full((16, 16, 3), step, np.uint8), run / "samples" / f"{step:06}.png")
        append_row(run / "metrics.jsonl", {"step": step, "disc/real": 0.6, "disc/fake": 0.4, "disc/loss": 1.0, "gen/loss": 1.0})
        row = {"step": step, "source": "training", "kid": 0.1, "kid_floor": 0.01, "protocol": PROTOCOL}
        append_row(run / "eval.jsonl", row)
    save(np.zeros((16, 16, 3), np.uint8), run / "real.png")
    told = {"step": 50, "state": "D-winning", "advice": "a <b>penalty</b>", "evidence": {"gap": 0.7}}
    append_row(run / "diagnosis.jsonl", told)
    return run


class Page(HTMLParser):
    """The tags that are open, sources, headings and text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_everything_is_inside(run, tmp_path):
    assert report.main(report.Config(run=run, out=tmp_path / "page.html")) == tmp_path / "page.html"
    page = Page((tmp_path / "page.html").read_text())
    assert not page.open
    assert len(page.sources) == 6  # film, two sheets, real pictures, curves, nearest pictures
    assert all(source.startswith("data:") for source in page.sources)
    for source in page.sources[1:]:
        with Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))) as picture:
            picture.load()
    for word in ("step 100", "kid", "features pixels", "step 50: D-winning", "nearest to a training picture", "image_size"):
        assert word in page.words, word
    assert not (run / "report.html").exists()
    assert not (run / "video").exists()


def test_what_a_run_says_is_no_markup(run, tmp_path):
    page = Page(report.page(run, nearest=False))
    assert not page.tags & {"script", "b"}
    assert "<script>alert(1)</script>" in page.words
    assert "a <b>penalty</b>" in page.words


def test_a_film_that_is_there_is_taken(run, tmp_path):
    copied = shutil.copytree(run, tmp_path / "copied")
    (copied / "video").mkdir()
    (copied / "video" / "progress.webp").write_bytes(b"a film")
    assert base64.b64encode(b"a film").decode() in report.film(copied)


def test_a_run_that_has_little_to_show(run, tmp_path):
    copied = shutil.copytree(run, tmp_path / "copied")
    for name in ("samples", "video"):
        shutil.rmtree(copied / name, ignore_errors=True)
    for name in ("metrics.jsonl", "eval.jsonl", "diagnosis.jsonl", "real.png"):
        (copied / name).unlink()
    write_json(copied / "config.json", read_json(copied / "config.json") | {"data": str(tmp_path / "gone")})
    page = Page(report.page(copied))
    assert not page.sources
    for word in ("No film: ", "None were measured with a protocol", "Not shown: the pictures that", "No metrics yet"):
        assert word in page.words, word


def test_how_a_run_ended_is_told(run, tmp_path):
    assert "at the end: too early to tell: a game is judged from round 500 on; memorising was not" in report.story(run)
    copied = shutil.copytree(run, tmp_path / "copied")
    append_row(copied / "diagnosis.jsonl", {"step": 112, "state": "nan", "advice": "", "evidence": "disc/loss at step 112"})
    assert "at the end: nan, disc/loss at step 112; try a lower learning rate" in report.story(copied)


def test_what_is_no_run(run, tmp_path):
    with pytest.raises(InputError, match="is no run: name the directory of one"):
        report.main(report.Config(run=tmp_path))
    with pytest.raises(InputError, match="lies in the input"):
        report.main(report.Config(run=run, out=run / "samples" / "page.html"))


LOOK = """<script>
addEventListener("load", () => setTimeout(() => {
  const pictures = [...document.images].map(each => each.complete ? each.naturalWidth : 0);
  const films = [...document.querySelectorAll("video")].map(each => each.error ? 0 : each.videoWidth);
  const wide = document.documentElement.scrollWidth - innerWidth;
  document.body.innerHTML = JSON.stringify({pictures, films, wide});
}, 1500));
</script>"""


def test_a_browser_shows_all_of_it(run, tmp_path):
    """Every picture and the film are decoded, nothing is wider than the window, and what is drawn is more than white."""
    page = report.main(report.Config(run=run, out=tmp_path / "page.html"))
    with Image.open(screenshot(page, tmp_path / "profile", tmp_path / "page.png")) as drawn:
        colours = drawn.convert("RGB").getcolors(1 << 20)
    assert max(n for n, _ in colours) < 0.95 * sum(n for n, _ in colours)
    looked = tmp_path / "looked.html"
    looked.write_text(page.read_text() + LOOK)
    body = document(looked, tmp_path / "profile").partition("<body>")[2].partition("</body>")[0]
    seen = json.loads(body)
    assert len(seen["pictures"] + seen["films"]) == 6
    assert min(seen["pictures"] + seen["films"]) > 0
    assert seen["wide"] <= 0
