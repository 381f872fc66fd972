"""The notebooks: each is sound and runs from top to bottom with its small settings."""

import ast
import json
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "experiments" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST = 300  # seconds that one takes on two CPU cores


def cells(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def test_there_is_a_notebook_for_every_subject():
    assert [path.stem[3:] for path in NOTEBOOKS] == [
        "the_game",
        "dcgan",
        "mode_collapse",
        "latent_arithmetic",
        "text_to_image",
        "super_resolution",
        "your_own_pictures",
        "your_own_objective",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_sound(path):
    setup, *others = cells(path, "code")
    assert setup == cells(NOTEBOOKS[0], "code")[0], "the first cell is the same everywhere"
    for cell in (setup, *others):
        ast.parse(cell)
        assert "/home/" not in cell
        assert "/root/" not in cell
    assert cells(path, "markdown")[0].startswith("# ")
    assert all(not cell.get("outputs") for cell in json.loads(path.read_text())["cells"]), "stored without outputs"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.read(path, 4)
    root = f'SOURCE = "{FOLDER.parents[1]}"'
    book.cells[1].source = book.cells[1].source.replace('SOURCE = "../.."', root)
    assert root in book.cells[1].source
    start = time.monotonic()
    nbclient.NotebookClient(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert time.monotonic() - start < MOST
    shown = [output["data"] for cell in book.cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("image/png" in data or "image/webp" in data or "<img" in data.get("text/html", "") for data in shown)
    assert (tmp_path / "runs").is_dir() or "RUNS /" not in "".join(cells(path, "code")[1:])
