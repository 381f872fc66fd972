"""One page of a run: `report RUN` writes report.html: curves, sheets, film, scores, the doctor, nearest training pictures."""

import base64
import html
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image

from gan_jax import images
from gan_jax.commands import evaluate, reference
from gan_jax.config import command
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.features import open_network
from gan_jax.files import check_apart, whole
from gan_jax.runs.records import Row, read_json, read_rows
from gan_jax.runs.run import require_run
from gan_jax.runs.trained import open_trained
from gan_jax.training.curves import DPI, draw, metric_panels, score_panels
from gan_jax.training.doctor import MEANINGS, advice, present
from gan_jax.training.film import progress_film, sheets_of

SAMPLES = 64  # of which the nearest to a training picture are shown
_COLUMNS, _WIDTH, _HEIGHT = 3, 960, 260  # panels of curves in a row, pixels of a row
_TYPES = {".mp4": "video/mp4", ".webp": "image/webp", ".png": "image/png"}
_STYLE = """
body { font-family: sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222 }
img, video { max-width: 100%; image-rendering: auto }
pre { overflow-x: auto; background: #f4f4f4; padding: 0.8em; font-size: 12px }
table { border-collapse: collapse } td { padding: 0.1em 1em 0.1em 0; vertical-align: top }
figure { margin: 0 0 1em 0 } figcaption { color: #555 }
"""


@dataclass(frozen=True)
class Config:
    """The flags of `report`."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    nearest: bool = True
    """Show the samples that are nearest to a training picture beside these, where the data are to be had."""
    trust: bool = False
    """Also open networks that are no part of gan_jax: their code is imported and run. Only for runs of known origin."""
    out: Path | None = None
    """The page to write; default RUN/report.html."""


@command
def main(config: Config) -> Path:
    """Write the page; returns its path. Raises `InputError` for what is no run, and where nothing can be written."""
    run = config.run
    require_run(run)
    out = config.out or run / "report.html"
    check_apart(out, [run / "checkpoints", run / "samples"])
    try:
        with whole(out) as unfinished:
            unfinished.write_text(page(run, config.nearest, config.trust), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    print(f"written: {out}")
    return out


def page(run: Path, nearest: bool = True, trust: bool = False) -> str:
    """The page as text: HTML that needs no other file."""
    metrics, scores = read_rows(run / "metrics.jsonl"), read_rows(run / "eval.jsonl")
    sections = {
        "Film": film(run),
        "Samples": sheets(run),
        "Scores": told_scores(scores),
        "Curves": curves(run, metrics, scores),
        "Doctor": story(run),
        "Nearest training pictures": neighbours(run, trust) if nearest else "",
        "Configuration": f"<details><summary>config.json</summary>{_table(read_json(run / 'config.json') or {})}</details>",
        "Environment": _table(_flat(read_json(run / "env.json") or {})),
    }
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections.items() if content)
    name, step = _text(run.resolve().name), max((row["step"] for row in metrics), default=0)
    head = f'<meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    told = f"<h1>{name}</h1>\n<p>{step:,} rounds.</p>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{told}\n{body}\n</body></html>\n'


def film(run: Path) -> str:
    """The film, as it is if it is newer than the last sheet."""
    last = [path.stat().st_mtime for _, path in sheets_of(run)[-1:]]
    kept = [path for path in (run / "video" / "progress.mp4", run / "video" / "progress.webp") if path.is_file()]
    if last and kept and kept[0].stat().st_mtime >= last[0]:
        return _embedded(kept[0].read_bytes(), kept[0].suffix, "the same noise over the rounds")
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = progress_film(run, print, out=Path(folder))[0]
        except InputError as error:
            return f"<p>No film: {_text(error)}.</p>"
        return _embedded(made.read_bytes(), made.suffix, "the same noise over the rounds")


def sheets(run: Path) -> str:
    """The last sheet of samples, the first one, and real pictures."""
    found = sheets_of(run)
    chosen = {f"step {step:,}": path for step, path in (found[-1:] + found[:1] if len(found) > 1 else found)}
    if (run / "real.png").is_file():
        chosen["real pictures"] = run / "real.png"
    return "\n".join(_embedded(path.read_bytes(), ".png", caption) for caption, path in chosen.items())


def told_scores(scores: list[Row]) -> str:
    """The newest scores of each kind that have a protocol, with it."""
    newest: dict[str, Row] = {
        str(row.get("source", "evaluate")): row for row in scores if isinstance(row.get("protocol"), dict)
    }
    if not newest:
        return "<p>None were measured with a protocol.</p>"
    titles = {"training": "while training", "evaluate": "by evaluate"}
    return "\n".join(
        f"<h3>Step {row['step']:,}, {_text(titles.get(kind, kind))}</h3><pre>{_text(evaluate.table(row))}</pre>"
        for kind, row in newest.items()
    )


def curves(run: Path, metrics: list[Row], scores: list[Row]) -> str:
    """Scores and metrics over the rounds."""
    panels = [*score_panels(scores, (read_json(run / "model.json") or {}).get("metric")), *metric_panels(metrics)]
    if not panels:
        return ""
    rows = -(-len(panels) // _COLUMNS)
    file = io.BytesIO()
    draw(panels, _WIDTH, _HEIGHT * rows, min(_COLUMNS, len(panels))).savefig(file, format="png", dpi=DPI)
    return _embedded(file.getvalue(), ".png", "over the rounds; dotted what real pictures score")


def story(run: Path) -> str:
    """Every change of state that the doctor told, and the present one."""
    lines = []
    for row in read_rows(run / "diagnosis.jsonl"):
        cure = f"; try {row['advice']}" if row.get("advice") else ""
        lines.append(
            f"<li>step {row['step']:,}: {_text(row['state'])}, {_text(MEANINGS.get(row['state'], ''))}{_text(cure)}</li>"
        )
    now = present(run)
    if now is None:
        return "<p>No metrics yet.</p>"
    state = now.diagnosis.state
    cure = advice(state, read_json(run / "config.json") or {})
    told = "; ".join([str(now), *([f"try {cure}"] if cure else []), *now.notes])
    lines.append(f"<li>at the end: {_text(told)}</li>")
    return f"<ul>{''.join(lines)}</ul>"


def neighbours(run: Path, trust: bool) -> str:
    """The samples that are nearest to a training picture, and that one below each; else why there are none."""
    try:
        sheet, height = _nearest(run, trust)
    except InputError as error:
        return f"<p>Not shown: {_text(error)}.</p>"
    caption = f"above those of {SAMPLES} samples that are nearest to a training picture, by 16x16 pixels; below these pictures"
    return _embedded(_png(sheet, images.enlargement(height)), ".png", caption)


def _nearest(run: Path, trust: bool) -> tuple[np.ndarray, int]:
    """The sheet, and the height of a picture on it."""
    flags = reference.picture_flags(run)
    if flags is None:
        raise InputError("the run does not say what pictures it was trained on")
    dataset = reference.own_data(run, flags)
    samples = open_trained(run, trust=trust).draw(SAMPLES)
    if samples.shape[1:] != dataset.train["image"].shape[1:]:
        raise InputError("the run's samples are not of the form of its training pictures")
    evaluator = Evaluator(dataset, open_network("pixels", dataset), ())
    return evaluate.nearest_sheet(samples, evaluator), samples.shape[1]


def _png(sheet: np.ndarray, scale: int) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def _embedded(content: bytes, suffix: str, caption: str) -> str:
    kind = _TYPES[suffix]
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    shown = f'<img src="{source}" alt="{_text(caption)}">'
    if kind.startswith("video"):
        shown = f'<video src="{source}" controls loop muted autoplay></video>'
    return f"<figure>{shown}<figcaption>{_text(caption)}</figcaption></figure>"


def _table(values: Row) -> str:
    """Names and values; of whole paths the last part, since a page may be sent to anybody."""
    rows = "".join(f"<tr><td>{_text(name)}</td><td>{_text(_without_folder(value))}</td></tr>" for name, value in values.items())
    return f"<table>{rows}</table>"


def _without_folder(value: object) -> object:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _flat(values: Row) -> dict[str, Any]:
    return dict(_items(values))


def _items(values: Row) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield from _items(value) if isinstance(value, dict) else [(name, value)]


def _text(value: object) -> str:
    """As HTML shows it; what no encoding has is escaped."""
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode())
