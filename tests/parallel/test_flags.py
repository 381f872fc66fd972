"""Devices, memory and precision: what is opened, what is refused, what is told before and after it fails."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from experiments import dcgan
from gan_jax import core, latents, losses
from gan_jax.core import Players
from gan_jax.errors import InputError, RunError
from gan_jax.models import mlp
from gan_jax.objectives import image_gan
from gan_jax.parallel import host
from gan_jax.parallel.flags import DeviceFlags, require_precision
from gan_jax.parallel.memory import analyse
from gan_jax.parallel.mesh import batch_mesh
from gan_jax.training import sources
from tests.game import batches, game, numbers, start

ROOT = Path(__file__).parents[2]
SMALL = {"image_size": "16", "width": 4, "batch": 16, "latent_dim": 8, "eval_metrics": "none"}


def test_one_device_needs_no_mesh_and_several_share():
    assert DeviceFlags(devices=1).open_devices(30) is None
    mesh = DeviceFlags(devices=4).open_devices(32)
    assert list(mesh.devices.flat) == jax.devices()[:4]
    assert mesh.axis_names == ("batch",)
    assert DeviceFlags().open_devices(64).size == jax.device_count() > 4


@pytest.mark.parametrize(
    ("flags", "batch", "accumulate", "message"),
    [
        ({"devices": 1000}, 64, 1, "--devices 1000: the devices are %d" % jax.device_count()),
        ({"devices": -1}, 64, 1, "--devices -1: the devices are"),
        ({"devices": 4}, 30, 1, "a batch of 30 cannot be shared by 4 devices: choose a batch of 32"),
        ({"devices": 4}, 25, 1, "choose a batch of 24"),
        ({"devices": 4}, 1, 1, "choose a batch of 4"),
        ({"devices": 4}, 20, 2, "a batch of 20 in 2 parts cannot be shared by 4 devices: choose a batch of 16"),
        ({"devices": 1}, 15, 2, "choose a batch of 16"),
        ({"devices": 1}, 16, 0, "both must be at least 1"),
        ({"processes": 2}, 64, 1, "a number of processes needs a coordinator"),
    ],
)
def test_what_cannot_be_opened(flags, batch, accumulate, message):
    with pytest.raises(InputError, match=message):
        DeviceFlags(**flags).open_devices(batch, accumulate)


def test_precision_that_a_device_lacks(monkeypatch):
    def gpu(name, capability):
        return SimpleNamespace(platform="gpu", device_kind=name, compute_capability=capability)

    with pytest.raises(InputError, match=r"Tesla T4 \(compute capability 7\.5\) has no bf16 units: use --precision f32"):
        require_precision("bf16", gpu("Tesla T4", "7.5"))
    for precision, device in (
        ("f32", gpu("Tesla T4", "7.5")),
        ("bf16", gpu("NVIDIA A100", "8.0")),
        ("bf16", gpu("NVIDIA B200", "10.0")),
        ("bf16", gpu("AMD Instinct MI300X", "gfx942")),
        ("bf16", SimpleNamespace(platform="tpu", device_kind="TPU v4")),
        ("bf16", jax.devices()[0]),
    ):
        require_precision(precision, device)
    monkeypatch.setattr(jax, "devices", lambda: [gpu("Tesla T4", "7.5")])
    with pytest.raises(InputError, match="Tesla T4"):
        DeviceFlags(precision="bf16").open_devices(64)


def test_analysis_counts_what_the_step_holds():
    """Memory holds state and batch, and what lies between grows with the batch."""
    players = mlp.Generator(width=32, depth=2), mlp.Discriminator(width=32, depth=2)
    objective, tx = image_gan(*players, losses.non_saturating, latents.Normal(8)), Players(optax.adam(1e-3), optax.adam(1e-3))
    points = np.ones((4096, 2), np.float32)
    state = core.init_state(objective, tx, jax.random.key(0), {"image": points})
    small, large = (analyse(core.make_step(objective, tx), state, {"image": points[:n]}) for n in (1024, 4096))
    for found, n in ((small, 1024), (large, 4096)):
        held = sum(x.nbytes for x in numbers(state)) + n * 2 * 4
        assert held <= found.state < held + 10_000
        assert found.peak > held + n * 32 * 4  # one layer's features, for one
    assert large.state - small.state == 3072 * 2 * 4
    assert large.peak > 2 * small.peak
    assert not any(x.is_deleted() for x in jax.tree.leaves(state))  # nothing was played


def test_analysis_of_a_step_spread_over_devices():
    """Four devices have a quarter of the batch each; the state lies on all of them."""
    objective, step = game("DCGAN, R1")
    state, batch = start(objective), batches(1, size=64)[0]
    alone, shared = (analyse(step, state, batch, mesh) for mesh in (None, batch_mesh(jax.devices()[:4])))
    assert shared.peak < alone.peak
    assert alone.state - shared.state == pytest.approx(48 * 16 * 16, abs=10_000)


def test_dry_run_tells_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dcgan.main(dcgan.Config(**SMALL, dry_run=True, devices=1))
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines()] == ["memory", "arithmetic", "compiled"]
    assert "MiB at the peak" in told
    dcgan.main(dcgan.Config(**SMALL, dry_run=True, devices=1, outdir=tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_out_of_memory_is_told_with_what_lowers_it(tmp_path, monkeypatch):
    def exhausted(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes")

    monkeypatch.setattr(sources, "resident", lambda *_, **__: exhausted)
    asked = dcgan.Config(**SMALL, steps=2, feed="device", devices=1, outdir=tmp_path / "run")
    with pytest.raises(RunError, match="out of memory on cpu .*allocating 123 bytes") as told:
        dcgan.main(asked)
    for word in ("--dry-run", "--batch", "--width", "--accumulate", "--precision bf16", "checkpoints: none"):
        assert word in str(told.value)


def test_other_errors_of_the_runtime_stay_as_they_are(tmp_path, monkeypatch):
    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(sources, "resident", lambda *_, **__: broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        dcgan.main(dcgan.Config(**SMALL, steps=2, feed="device", devices=1, outdir=tmp_path / "run"))


def test_compiled_programs_are_kept_where_the_user_says(monkeypatch, tmp_path):
    before = jax.config.jax_compilation_cache_dir
    try:
        monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "kept"))
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
        host.keep_compiled()
        assert jax.config.jax_compilation_cache_dir == before  # jax has read the variable by itself
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
        host.keep_compiled()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "kept" / "xla")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


KEEP = """
import ctypes, resource
import jax, jax.numpy as jnp
from gan_jax.parallel import host
kept = host.keep_memory(most=2**28)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    piece = libc.malloc(2**26)
    ctypes.memset(piece, 1, 2**26)
    libc.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
again = faults()
print(kept, again < 1000, float(jax.jit(lambda x: (x @ x).sum())(jnp.ones((64, 64)))))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there only")
def test_memory_is_kept_and_everything_still_computes():
    """Memory that was given back and is asked for again costs no page faults: 64 MiB would cost 16,384."""
    done = subprocess.run([sys.executable, "-c", KEEP], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "True", str(64.0**3)], done.stderr
