"""Weight files: what is read back, what is refused and how, and where files are to be had."""

import hashlib
import os
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from gan_jax import cli
from gan_jax.__main__ import COMMANDS
from gan_jax.commands.weights import Config, main
from gan_jax.errors import InputError
from gan_jax.models import torch_files
from gan_jax.models.pretrained import NETWORKS, convert, digest, read_weights
from gan_jax.models.squeezenet import SqueezeNet

NETWORK = "squeezenet_torchvision"


@pytest.fixture(scope="module")
def arrays():
    """A small network's, by name."""
    variables = jax.jit(SqueezeNet().init)(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    return {name: np.asarray(array) for name, array in flatten_dict(variables["params"], sep="/").items()}


@pytest.fixture
def write(tmp_path):
    def write(arrays):
        np.savez(tmp_path / "weights.npz", **arrays)
        return tmp_path / "weights.npz"

    return write


@pytest.fixture
def state(arrays):
    """The same as torchvision has it."""
    torch = pytest.importorskip("torch", reason="PyTorch is needed to convert")
    found = {}
    for theirs, ours in torch_files._SQUEEZENET.items():
        found[f"{theirs}.weight"] = torch.tensor(arrays[f"{ours}/kernel"].transpose(3, 2, 0, 1))
        found[f"{theirs}.bias"] = torch.tensor(arrays[f"{ours}/bias"])
    return found | {"classifier.1.bias": torch.zeros(1000)}


@pytest.fixture
def save(tmp_path):
    """Writes a PyTorch file, and lets the table know it as the public one."""
    torch = pytest.importorskip("torch", reason="PyTorch is needed to convert")

    def save(content, monkeypatch=None):
        path = tmp_path / "public.pth"
        torch.save(content, path)
        if monkeypatch:
            file = torch_files.PublicFile("public.pth", hashlib.sha256(path.read_bytes()).hexdigest()[:8], "http://there")
            monkeypatch.setitem(NETWORKS, NETWORK, NETWORKS[NETWORK]._replace(files=(file,)))
        return path

    return save


def test_read_back(arrays, write):
    variables, found = read_weights(write(arrays), "squeezenet")
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        jnp.shape, jax.eval_shape(SqueezeNet().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    )
    for name, array in flatten_dict(variables["params"], sep="/").items():
        assert jnp.array_equal(array, arrays[name])
    assert found == digest(arrays) == digest(variables)


def test_other_names_for_the_same_weights(arrays, write):
    other = {name.replace("kernel", "w").replace("bias", "b"): array for name, array in reversed(arrays.items())}
    assert read_weights(write(other), "squeezenet")[1] == digest(arrays)


def test_digest():
    """SHA-256 over "a/b (2,)\\n", 1.0 and 2.0 as four bytes each, "c ()\\n" and 3.0, worked out by hand."""
    content = b"a/b (2,)\n\x00\x00\x80\x3f\x00\x00\x00\x40c ()\n\x00\x00\x40\x40"
    expected = hashlib.sha256(content).hexdigest()[:16]
    arrays = {"c": np.float64(3.0), "a": {"b": jnp.array([1.0, 2.0])}}
    assert digest(arrays) == digest({"params": arrays}) == expected
    others = [arrays | {"c": np.float32(3.1)}, {"d": arrays["c"], "a": arrays["a"]}, arrays | {"c": np.ones(1) * 3}]
    assert len({expected, *map(digest, others)}) == 4


def without(arrays, name):
    return {other: array for other, array in arrays.items() if other != name}


def test_arrays_of_another_network(arrays, write):
    with pytest.raises(InputError, match=r"weights.npz does not hold the weights of squeezenet: it has no array fire3/"):
        read_weights(write(without(arrays, "fire3/squeeze1x1/bias")), "squeezenet")
    with pytest.raises(InputError, match=r"conv1/kernel is float32 \(64, 3, 3, 3\), where floats \(3, 3, 3, 64\) are wanted"):
        read_weights(write(arrays | {"conv1/kernel": arrays["conv1/kernel"].transpose(3, 2, 0, 1)}), "squeezenet")
    with pytest.raises(InputError, match=r"conv1/bias is int64 \(64,\)"):
        read_weights(write(arrays | {"conv1/bias": np.zeros(64, np.int64)}), "squeezenet")
    with pytest.raises(InputError, match=r"not all numbers in conv1/bias are finite"):
        read_weights(write(arrays | {"conv1/bias": np.full(64, np.nan)}), "squeezenet")
    with pytest.raises(InputError, match=r"fire10/w is not of this network|fire10/kernel is not of this network"):
        read_weights(write(arrays | {"fire10/w": np.zeros(1)}), "squeezenet")


def test_files_that_are_no_arrays(tmp_path, arrays, write):
    whole = write(arrays).read_bytes()
    np.savez(tmp_path / "pickled.npz", a=np.array([{}], dtype=object))
    for name, content in (("text", b"no weights"), ("empty", b""), ("half", whole[: len(whole) // 2])):
        (tmp_path / f"{name}.npz").write_bytes(content)
    for name in ("text", "empty", "half", "pickled"):
        with pytest.raises(InputError, match=rf"{name}.npz is not a whole .npz file of plain arrays"):
            read_weights(tmp_path / f"{name}.npz", NETWORK)


def test_a_missing_file_says_where_and_how(tmp_path):
    out = tmp_path / "inception.npz"
    with pytest.raises(InputError) as error:
        read_weights(out, "inception")
    assert str(error.value).startswith(f"there is no {out}. ")
    name = "weights-inception-2015-12-05-6726825d.pth"
    assert f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{name}" in str(error.value)
    assert f"python -m gan_jax weights convert {name} --network inception --out {out}" in str(error.value)
    with pytest.raises(InputError, match=r"convert vgg16-397923af.pth --heads vgg.pth --network lpips_vgg --out"):
        read_weights(tmp_path / "lpips.npz", "lpips_vgg")
    with pytest.raises(InputError, match=r"No public file of vgg19_normalised is known"):
        read_weights(tmp_path / "vgg.npz", "vgg19_normalised")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(InputError, match="pipe.npz is no regular file"):
        read_weights(tmp_path / "pipe.npz", "squeezenet")


def test_unknown_networks(tmp_path):
    wrong = r"there is no network 'resnet': choose one of inception, squeezenet,"
    with pytest.raises(InputError, match=wrong):
        read_weights(tmp_path / "resnet.npz", "resnet")
    with pytest.raises(InputError, match=wrong):
        convert([], "resnet", tmp_path / "resnet.npz")


def test_names_of_public_files_have_their_hashes():
    files = {file for network in NETWORKS.values() for file in network.files}
    assert len(files) == 8
    for file in files:
        assert re.fullmatch("[0-9a-f]{8}", file.sha256)
        assert file.url.endswith(f"/{file.name}")
        assert file.name in ("alex.pth", "vgg.pth", "squeeze.pth") or f"-{file.sha256}." in file.name


def test_heads_are_the_public_ones(real_data):
    pytest.importorskip("torch", reason="PyTorch is needed to read them")
    for net in ("alex", "vgg", "squeeze"):
        file = NETWORKS[f"lpips_{net}"].files[1]
        state = torch_files.read_state(real_data / "weights" / "lpips_linear_heads" / "v0.1" / file.name, file)
        assert min(array.min() for array in state.values()) >= 0


def test_convert(arrays, state, save, tmp_path, monkeypatch):
    found = convert([save(state, monkeypatch)], NETWORK, tmp_path / "out.npz")
    variables, read = read_weights(tmp_path / "out.npz", NETWORK)
    assert found == read == digest(arrays) == digest(variables)


def test_convert_refuses_another_file(state, save, tmp_path):
    path, out = save(state), tmp_path / "out.npz"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match=rf"SHA-256 {found}, but that of squeezenet1_1-b8a52dc0.pth begins with b8a52dc0"):
        convert([path], NETWORK, out)
    assert not out.exists()
    convert([path], NETWORK, out, any_hash=True)
    assert out.exists()


def test_convert_refuses_what_does_not_fit(state, save, tmp_path):
    torch, out = pytest.importorskip("torch"), tmp_path / "out.npz"
    out.write_bytes(b"as before")
    bad = {
        r"public.pth has no array features.0.bias": without(state, "features.0.bias"),
        r"conv1/bias is float32 \(65,\)": state | {"features.0.bias": torch.zeros(65)},
        r"is not a file of plain PyTorch arrays": [1, 2],
    }
    for message, content in bad.items():
        with pytest.raises(InputError, match=message):
            convert([save(content)], NETWORK, out, any_hash=True)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"text.pth is not a file of plain PyTorch arrays"):
        convert([tmp_path / "text.pth"], NETWORK, out, any_hash=True)
    with pytest.raises(InputError, match=r"cannot read .*none.pth.* is at https://download"):
        convert([tmp_path / "none.pth"], NETWORK, out)
    with pytest.raises(InputError, match=r"lpips_vgg is made of 2 files \(vgg16-397923af.pth, vgg.pth\), not of 1"):
        convert([tmp_path / "text.pth"], "lpips_vgg", out)
    assert out.read_bytes() == b"as before"
    assert {path.name for path in tmp_path.iterdir()} == {"out.npz", "public.pth", "text.pth"}


def test_nothing_in_a_file_is_executed(save, tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    with pytest.raises(InputError, match=r"not a file of plain PyTorch arrays"):
        convert([save({"features.0.bias": Trap()})], NETWORK, tmp_path / "out.npz", any_hash=True)
    assert not (tmp_path / "sprung").exists()


def test_a_place_that_cannot_be_written(state, save):
    """Below a file."""
    path = save(state)
    with pytest.raises(InputError, match=r"cannot write .*none.*; choose another file"):
        convert([path], NETWORK, path / "none" / "out.npz", any_hash=True)


def test_sources_are_regular_files_and_stay(state, save, tmp_path):
    path = save(state)
    before = path.read_bytes()
    (tmp_path / "link.npz").symlink_to(path)
    for out in (path, tmp_path / "link.npz"):
        with pytest.raises(InputError, match="would overwrite the input"):
            convert([path], NETWORK, out, any_hash=True)
    assert path.read_bytes() == before
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is no regular file"):
        convert([tmp_path / "pipe"], NETWORK, tmp_path / "out.npz", any_hash=True)
    with pytest.raises(InputError, match="a device or pipe"):
        convert([path], NETWORK, tmp_path / "pipe", any_hash=True)


def test_convert_without_pytorch(tmp_path, monkeypatch):
    (tmp_path / "public.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"needed to read it: pip install torch"):
        convert([tmp_path / "public.pth"], NETWORK, tmp_path / "out.npz", any_hash=True)


def test_command_list(capsys):
    main(Config())
    listed = capsys.readouterr().out
    for name, network in NETWORKS.items():
        assert name in listed
        for file in network.files:
            assert f"{file.url}  (SHA-256 {file.sha256}...)" in listed


def test_command_convert(arrays, state, save, tmp_path, capsys, monkeypatch):
    path = save(state)
    command = ["weights", "convert", str(path), "--network", NETWORK]
    monkeypatch.chdir(tmp_path)
    assert run(command) == 2
    assert "b8a52dc0" in capsys.readouterr().err
    assert run([*command, "--any-hash"]) == 0
    assert f"written: {NETWORK}.npz, weights {digest(arrays)}" in capsys.readouterr().out
    assert read_weights(tmp_path / f"{NETWORK}.npz", NETWORK)[1] == digest(arrays)
    assert run(["weights", "convert"]) == 2
    assert "convert needs a file" in capsys.readouterr().err


def run(args):
    with pytest.raises(SystemExit) as ended:
        cli.run_subcommand(COMMANDS, "", args)
    return ended.value.code
