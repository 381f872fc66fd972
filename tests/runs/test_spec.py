"""Networks and samplers as JSON, and what is never called because a file says so."""

import json
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import latents
from gan_jax.core import Sampler
from gan_jax.errors import InputError
from gan_jax.models import dcgan
from gan_jax.objectives import image_sampler
from gan_jax.runs.spec import from_spec, open_sampler, sampler_spec, to_spec

CALLED = []


class Mine(nn.Module):
    """A network of somebody else."""

    width: int = 3


def spy(**fields):
    CALLED.append(fields)


def through_json(spec):
    return json.loads(json.dumps(spec))


def test_a_sampler_and_its_parts_come_back():
    generator = dcgan.Generator(size=(32, 48), width=8, dtype=jnp.bfloat16)
    spec = through_json(sampler_spec(partial(image_sampler, generator, latent=latents.Uniform(7))))
    assert spec["sampler"] == "gan_jax.objectives.image:image_sampler"
    assert isinstance(open_sampler(spec), Sampler)
    again = from_spec(spec["parts"]["generator"])
    assert again == generator.clone(dtype="bfloat16")
    assert from_spec(spec["parts"]["latent"]) == latents.Uniform(7)


def test_functions_and_nested_values():
    assert to_spec((1, "a", None, [2.5])) == [1, "a", None, [2.5]]
    assert from_spec([1, [2, 3]]) == (1, (2, 3))
    spec = to_spec(spy)
    assert spec["function"].endswith(":spy")
    assert to_spec((np.float32(0.5), np.dtype("int32"), jnp.bfloat16)) == [0.5, "int32", "bfloat16"]
    for value in (object(), {1: 2}, lambda: 0, nn.initializers.normal(0.02)):
        with pytest.raises(InputError, match="cannot be written to model.json"):
            to_spec(value)


@pytest.mark.parametrize("spec", [{}, {"sampler": 5, "parts": {}}, {"parts": {"a": {"class": "gan_jax.latents:Normal"}}}])
def test_a_damaged_description_is_told(spec):
    with pytest.raises(InputError, match="damaged"):
        open_sampler(spec)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "gan_jax.models.dcgan:partial",  # found there, but not made there
        "gan_jax.models.dcgan:stages",  # a function, but no sampler
        "gan_jax.models.pretrained:convert",
        "gan_jax.runs.checkpoint:Checkpoints",  # ours, but no network
        "gan_jax.models.dcgan:__loader__",
        "gan_jax.models.dcgan:Generator.apply",
        "gan_jax.latents:dataclass",
        "gan_jax.models..dcgan:Generator",
        f"{__name__}:spy",
    ],
)
def test_what_is_no_network_of_ours_is_refused_and_not_called(name, monkeypatch):
    imported = []
    monkeypatch.setattr("importlib.import_module", lambda module: imported.append(module) or pytest.fail(module))
    if name.startswith(("gan_jax.models.", "gan_jax.latents")):
        monkeypatch.undo()
    with pytest.raises(InputError, match="model.json names"):
        from_spec({"class": name, "fields": {}})
    assert not imported
    assert not CALLED


def test_networks_of_others_need_trust():
    spec = {"class": f"{Mine.__module__}:Mine", "fields": {"width": 5}}
    with pytest.raises(InputError, match="open it with --trust"):
        from_spec(spec)


def test_trusted_modules_are_imported(tmp_path, monkeypatch):
    (tmp_path / "their_networks.py").write_text("import flax.linen as nn\nclass Net(nn.Module):\n    width: int = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"class": "their_networks:Net", "fields": {"width": 5}}
    assert from_spec(spec, trust=True).width == 5
    with pytest.raises(InputError, match="has not the fields"):
        from_spec({"class": "their_networks:Net", "fields": {"depth": 5}}, trust=True)
    with pytest.raises(InputError, match="cannot be imported"):
        from_spec({"class": "their_networks:Nothing", "fields": {}}, trust=True)
