"""The forms that a run keeps, and what is known of the machine."""

import json
from dataclasses import dataclass

import pytest

from gan_jax.errors import InputError
from gan_jax.layers.lowerings import Problem, choice
from gan_jax.runs import Run
from gan_jax.training import convolutions
from gan_jax.training.convolutions import measured_step

WIDE = Problem("conv", 64, (4, 4, 32, 48), 2, (8, 8))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CONVOLUTIONS", "auto")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convolutions"


@pytest.fixture
def fastest(monkeypatch):
    """What is fastest, for as long as the test says so."""
    found = ["subpixel"]
    monkeypatch.setattr(Problem, "fastest", lambda self, by_rule: found[0])
    return found


@dataclass(frozen=True)
class Config:
    steps: int = 1


def form(directory, devices=1, begun=False):
    """The name of the form of one convolution while the step of the run in the directory is traced."""
    names = []

    def step(state, batch):
        names.append(choice("conv", 64, WIDE.kernel, WIDE.stride, WIDE.outputs).name)

    with Run(directory, Config(), "f") as run:
        measured_step(step, devices, run)(None, None)
        if begun:
            run.accept()
            (directory / "checkpoints" / "1").mkdir(parents=True, exist_ok=True)
    return names[0]


def test_a_run_keeps_its_forms_and_others_have_those_of_the_machine(tmp_path, cache, fastest):
    assert form(tmp_path / "run") == "subpixel"
    assert json.loads((tmp_path / "run" / "convolutions.json").read_text())["forms"] == {WIDE.key: "subpixel"}
    fastest[0] = "winograd"
    assert form(tmp_path / "run") == form(tmp_path / "other") == "subpixel"
    for file in cache.iterdir():
        file.unlink()
    assert form(tmp_path / "third") == "winograd"
    assert form(tmp_path / "run") == form(tmp_path / "other") == "subpixel"


def test_another_machine_goes_on_as_begun_and_measures_for_itself(tmp_path, fastest, monkeypatch):
    assert form(tmp_path / "run") == "subpixel"
    fastest[0] = "winograd"
    monkeypatch.setattr(convolutions, "machine_name", lambda: "another")
    assert form(tmp_path / "run") == "subpixel"
    assert form(tmp_path / "new") == "winograd"


def test_a_run_goes_on_as_it_began_with_another_setting(tmp_path, fastest, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CONVOLUTIONS", "rule")
    assert form(tmp_path / "by_rule", begun=True) == "winograd"
    monkeypatch.setenv("GAN_JAX_CONVOLUTIONS", "auto")
    assert form(tmp_path / "by_rule") == "winograd"
    assert form(tmp_path / "measured", begun=True) == "subpixel"
    monkeypatch.setenv("GAN_JAX_CONVOLUTIONS", "rule")
    assert form(tmp_path / "measured") == "subpixel"


def test_a_cache_that_cannot_be_used_is_none(tmp_path, cache, fastest, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    assert form(tmp_path / "run") == "subpixel"
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "damaged"))
    form(tmp_path / "first")
    (file,) = (tmp_path / "damaged" / "convolutions").iterdir()
    file.write_text("[]")
    assert form(tmp_path / "second") == "subpixel"


def test_nothing_is_measured_by_rule_or_on_several_devices(tmp_path, cache, fastest, monkeypatch):
    assert form(tmp_path / "run", devices=2) == "winograd"
    monkeypatch.setenv("GAN_JAX_CONVOLUTIONS", "rule")
    assert form(tmp_path / "run") == "winograd"
    assert not (tmp_path / "run" / "convolutions.json").exists()
    assert not cache.exists()


def test_other_values_and_damaged_files_are_refused(tmp_path, fastest, monkeypatch):
    form(tmp_path / "run")
    (tmp_path / "run" / "convolutions.json").write_text('{"forms": [1]}')
    with pytest.raises(InputError, match="convolutions.json is damaged: its forms are no names"):
        form(tmp_path / "run")
    monkeypatch.setenv("GAN_JAX_CONVOLUTIONS", "fast")
    with pytest.raises(InputError, match="GAN_JAX_CONVOLUTIONS is 'fast': choose auto"):
        form(tmp_path / "run")
