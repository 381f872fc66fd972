"""Folders of small pictures, as files and as zips."""

import zipfile
from pathlib import Path

from PIL import Image

from gan_jax.data.source import Source


def draw(root: Path, *names: str) -> Path:
    """Pictures of one colour each, that of their number."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(path)
    return root


def zipped(root: Path, path: Path) -> Path:
    """The files in an order of their own, as zips have them."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((file for file in root.rglob("*") if file.is_file()), reverse=True):
            archive.write(file, file.relative_to(root).as_posix())
    return path


def names(source: Source, split: str = "train") -> list[str]:
    count, read = source.splits[split]
    return [read(i).image.name for i in range(count)]


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8", newline="")


NUMBERED = [f"{i}.png" for i in range(1, 31)]
