"""`export` and `hub` as commands: what the card says, what is refused, and that nothing needs a network until it must."""

import json
import shutil
import sys
import types
import zipfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from gan_jax import latents
from gan_jax.commands import export, hub
from gan_jax.errors import InputError
from gan_jax.objectives import image_sampler
from gan_jax.runs.card import command_of
from gan_jax.runs.records import append_row, json_default, read_json, write_json
from gan_jax.runs.spec import sampler_spec
from tests.game import Generator
from tests.runs.test_trained import write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("export") / "made")


@pytest.fixture
def run(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def card(file: Path) -> dict:
    with zipfile.ZipFile(file) as opened:
        return json.loads(opened.read("card.json"))


def test_what_the_card_says(run, tmp_path, capsys):
    row = {"step": 0, "source": "training", "kid": 0.25, "kid_std": 0.125, "kid_floor": 0.01}
    append_row(run / "eval.jsonl", {**row, "kid": 9.0})
    append_row(run / "eval.jsonl", {**row, "protocol": {"features": "pixels", "samples_compared": 300}})
    append_row(run / "eval.jsonl", {**row, "step": 5, "kid": 7.0})  # of a later round than the checkpoint
    write_json(run / "config.json", {"data": "/home/somebody/birds"})
    told = export.main(export.Config(run=run, licence="CC BY 4.0"))
    assert told == card(run / "export" / "run.zip")
    assert "takes z (b, 5)" in capsys.readouterr().out
    assert [score["kid"] for score in told["scores"]] == [0.25]
    assert told["data"] == {"name": "birds", "fingerprint": "fingerprint"}
    assert told["trained_with"]["jax"] == told["exported_with"]["jax"]
    with zipfile.ZipFile(run / "export" / "run.zip") as opened:
        page = opened.read("README.md").decode()
    for line in (
        "| kid | 0.25 ± 0.125 | 0.01 |",
        "Protocol: features pixels, samples_compared 300.",
        "| licence | CC BY 4.0 |",
        "| input `z` | float32 (b, 5), latent codes, standard normal |",
        "z=np.random.default_rng(0).standard_normal((16, 5))",
        "The command that trained it is not known.",
    ):
        assert line in page
    assert "somebody" not in page + json.dumps(told)


def _example_of(page: str, folder: Path, monkeypatch) -> dict:
    """What the page's example makes where the file and its loader lie."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    names: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    sys.modules.pop("load")
    return names


def test_the_example_of_the_page_runs(run, tmp_path, monkeypatch):
    export.main(export.Config(run=run, out=tmp_path / "opened" / "run.zip"))
    with zipfile.ZipFile(tmp_path / "opened" / "run.zip") as opened:
        opened.extract("load.py", tmp_path / "opened")
        page = opened.read("README.md").decode()
    names = _example_of(page, tmp_path / "opened", monkeypatch)
    assert names["pictures"].shape == (16, 16, 16, 1)
    assert names["pictures"].dtype == "uint8"


def test_the_command_has_the_flags_that_are_no_defaults(tmp_path):
    from experiments import dcgan

    config = dcgan.Config(data="/elsewhere/mnist", batch=32, mirror=True, lr=0.5, outdir=tmp_path / "x", init_from=tmp_path)
    flags = json.loads(json.dumps(asdict(config), default=json_default))
    script = {"build": "experiments.dcgan:build", "config": "experiments.dcgan:Config"}
    command = command_of(tmp_path, flags, script)
    assert command.startswith("gan_jax run dcgan --")
    assert set(command.split()[3:]) == {"--data", "mnist", "--batch", "32", "--mirror", "--lr", "0.5"}
    others = {"build": "mine.script:build", "config": "mine.script:Config"}
    assert command_of(tmp_path, {"a": [1, 2], "b": False, "c": "x y"}, others) == (
        "python -m mine.script --a 1 2 --no-b --c 'x y'"
    )
    assert command_of(tmp_path, flags, None) == command_of(tmp_path, flags, {"build": 5}) == ""


def test_what_cannot_be_exported_is_one_line(run, tmp_path):
    with pytest.raises(InputError, match="is no run that can be sampled: it has no model.json") as told:
        export.main(export.Config(run=tmp_path))
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="lies in the input"):
        export.main(export.Config(run=run, out=run / "checkpoints" / "a.zip"))
    (tmp_path / "a file").write_text("")
    with pytest.raises(InputError, match="choose another --out"):
        export.main(export.Config(run=run, out=tmp_path / "a file" / "a.zip"))
    model = read_json(run / "model.json")
    write_json(run / "model.json", model | {"format": 99})
    with pytest.raises(InputError, match="made by a newer gan_jax .*: update gan_jax"):
        export.main(export.Config(run=run))
    gone = sampler_spec(partial(image_sampler, Generator(), latents.Normal(5)))
    gone["parts"]["generator"]["class"] = "nowhere.networks:Generator"
    write_json(run / "model.json", model | gone)
    with pytest.raises(InputError, match="no part of gan_jax.*--trust"):
        export.main(export.Config(run=run))
    with pytest.raises(InputError, match=r"cannot be imported: .*Start the command in the folder of its module") as told:
        export.main(export.Config(run=run, trust=True))
    assert "\n" not in str(told.value)
    assert not (run / "export").exists()


def test_without_flatbuffers_the_package_is_named(run, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("flatbuffers", "jax._src.export.serialization"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(InputError, match="pip install flatbuffers"):
        export.main(export.Config(run=run))
    assert not (run / "export").exists()


class Hub(types.ModuleType):
    """A hub in a folder, in place of the package's."""

    def __init__(self, folder: Path):
        super().__init__("huggingface_hub")
        self.folder, self.private = folder, None

    def create_repo(self, name, private, exist_ok):
        (self.folder / name).mkdir(parents=True, exist_ok=exist_ok)
        self.private = private
        return f"https://hub/{name}"

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id):
        content = path_or_fileobj if isinstance(path_or_fileobj, bytes) else Path(path_or_fileobj).read_bytes()
        (self.folder / repo_id / path_in_repo).write_bytes(content)

    def hf_hub_download(self, repo_id, filename, revision):
        if not (self.folder / repo_id).exists():
            raise RuntimeError(f"\n404: there is no {repo_id} {revision}\nmore")
        return str(self.folder / repo_id / filename)


def test_a_file_goes_to_the_hub_and_back(run, tmp_path, monkeypatch, capsys):
    export.main(export.Config(run=run))
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(tmp_path / "hub"))
    file = run / "export" / "run.zip"
    assert hub.main(hub.Config("push", str(file), "me/birds", private=True)) == "https://hub/me/birds"
    assert sys.modules["huggingface_hub"].private
    folder = tmp_path / "hub" / "me" / "birds"
    assert {path.name for path in folder.iterdir()} == {"README.md", "generator.zip", "load.py"}
    page = (folder / "README.md").read_text()
    assert page.startswith("---\nlibrary_name: gan_jax")
    assert 'license: other\nlicense_name: "not stated"\n---' in page
    assert _example_of(page, folder, monkeypatch)["pictures"].shape == (16, 16, 16, 1)
    monkeypatch.chdir(tmp_path)
    assert hub.main(hub.Config("pull", "me/birds")).read_bytes() == file.read_bytes()
    assert (tmp_path / "birds.zip").is_file()
    with pytest.raises(InputError, match=r"^cannot pull me/fish: 404: there is no me/fish v1 \(a token") as told:
        hub.main(hub.Config("pull", "me/fish", revision="v1"))
    assert "\n" not in str(told.value)
    (tmp_path / "hub" / "me" / "birds" / "generator.zip").write_bytes(b"something else")
    with pytest.raises(InputError, match="is no file that `python -m gan_jax export` wrote"):
        hub.main(hub.Config("pull", "me/birds", out=tmp_path / "other.zip"))
    assert not (tmp_path / "other.zip").exists()


def test_what_cannot_be_pushed(run, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("README.md", "x")
    for file, message in (("gone.zip", "No such file"), ("other.zip", "it lacks card.json, load.py, weights.safetensors")):
        with pytest.raises(InputError, match=message):
            hub.main(hub.Config("push", str(tmp_path / file), "me/x"))
    with pytest.raises(InputError, match="say where to: hub push .*OWNER/NAME"):
        hub.main(hub.Config("push", str(tmp_path / "other.zip")))
    with pytest.raises(InputError, match="takes one repository"):
        hub.main(hub.Config("pull", "me/x", "me/y"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        hub.main(hub.Config("pull", "me/x"))


def test_the_real_package_without_a_network(run, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    export.main(export.Config(run=run))
    for config in (hub.Config("push", str(run / "export" / "run.zip"), "me/birds"), hub.Config("pull", "me/birds")):
        with pytest.raises(InputError, match="^cannot (push to|pull) me/birds: ") as told:
            hub.main(config)
        assert "\n" not in str(told.value)
