"""Hostile inputs, made by products of short lists: flags, run directories, model.json, data, weights."""

import dataclasses
import io
import itertools
import json
import os
import pickle
import shutil
import struct
import typing
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from experiments import dcgan

TINY = ["--width", "2", "--image-size", "16", "--batch", "4", "--latent-dim", "2", "--held-out", "0.2"]
TINY += ["--eval-metrics", "none", "--sample-every", "2", "--log-every", "1", "--save-every", "1"]
CANARY = "canary"
MOST_MEMORY = 2 * 2**30  # over that of the valid neighbour
MOST_OUTPUT = 6000


class Case(typing.NamedTuple):
    """One attempt: `make(folder)` prepares its folder and gives the program and its arguments."""

    name: str
    make: Callable[[Path], tuple[str, list[str]]]
    may_change: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (0, 1, 2)


def pictures(path: Path) -> Path:
    """A folder of 24 small pictures."""
    path.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for i in range(24):
        Image.fromarray(generator.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(path / f"{i:02}.png")
    return path


def flags() -> Iterator[Case]:
    hints = typing.get_type_hints(dcgan.Config, include_extras=True)
    for field in dataclasses.fields(dcgan.Config):
        kinds = {int, float} & _plain(hints[field.name])
        values = ["nan", "-1", "many", ""] + (["8589934592", "1.5"] if int in kinds else ["inf"]) if kinds else []
        for value in values:
            flag = f"--{field.name.replace('_', '-')}={value}"
            yield Case(
                f"flag {flag}",
                lambda folder, flag=flag: ("dcgan", ["--data", str(pictures(folder / "p")), *TINY, flag]),
                statuses=(2,),
            )


def _plain(hint: typing.Any) -> set[type]:
    if typing.get_origin(hint) is typing.Annotated:
        return _plain(typing.get_args(hint)[0])
    if typing.get_args(hint):
        return set().union(*(_plain(one) for one in typing.get_args(hint) if isinstance(one, type) or typing.get_args(one)))
    return {hint}


JSON_FILES = ("config.json", "env.json", "model.json", "metrics.jsonl", "eval.jsonl", "diagnosis.jsonl")


def _text(text: str | bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode()) and None


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _folder(path: Path) -> None:
    _remove(path)
    path.mkdir()


def _pipe(path: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def _circle(path: Path) -> None:
    _remove(path)
    path.symlink_to(path.name)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: max(path.stat().st_size // 2, 1)] if path.exists() else b'{"st')


def _numbers(path: Path) -> None:
    path.write_text('{"step": ' + "9" * 5000 + "}\n")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": _text(""),
    "cut": _cut,
    "junk": _text(bytes(range(256)) * 20),
    "not UTF-8": _text(b'{"step": "\xff\xfe"}\n'),
    "a list": _text("[]\n"),
    "null": _text("null\n"),
    "wrong types": _text('{"step": "a", "parts": 3, "sampler": [], "versions": 5, "data": {}, "protocol": [], "metric": {}}\n'),
    "missing keys": _text("{}\n"),
    "a long number": _numbers,
    "deep": _text("[" * 100_000),
    "absent": _remove,
    "a folder": _folder,
    "a pipe": _pipe,
    "a circle": _circle,
}
COMMANDS: dict[str, list[str]] = {
    "sample": ["sample", "run", "--n", "2"],
    "evaluate": ["evaluate", "run", "--n", "20", "--metrics", "kid", "--features", "pixels", "--repeats", "1"],
    "compare": ["compare", "run", "other"],
    "doctor": ["doctor", "run"],
    "export": ["export", "run", "--out", "made/generator.zip"],
}
MAY_CHANGE = {"evaluate": ("eval.jsonl", "diagnosis.jsonl"), "go on": ("run/",)}


def runs(valid: Path) -> Iterator[Case]:
    for file, (damage, apply), command in itertools.product(JSON_FILES, DAMAGES.items(), [*COMMANDS, "go on"]):

        def make(folder: Path, file=file, apply=apply, command=command) -> tuple[str, list[str]]:
            copied(valid, folder)
            apply(folder / "run" / file)
            return asked(command)

        yield Case(f"run {file} {damage}: {command}", make, MAY_CHANGE.get(command, ()))
    for damage, command in itertools.product(("empty", "cut", "junk", "absent", "a folder", "a pipe"), ("sample", "go on")):

        def make_broken(folder: Path, damage=damage, command=command) -> tuple[str, list[str]]:
            copied(valid, folder)
            newest = sorted((folder / "run" / "checkpoints").glob("[0-9]*"))[-1]
            for path in sorted(newest.rglob("*")):
                if path.is_file():
                    DAMAGES[damage](path)
            return asked(command)

        yield Case(f"checkpoint {damage}: {command}", make_broken, ("run/",))


def copied(valid: Path, folder: Path) -> None:
    shutil.copytree(valid / "run", folder / "run")
    shutil.copytree(valid / "run", folder / "other")
    shutil.copytree(valid / "p", folder / "p")


def asked(command: str) -> tuple[str, list[str]]:
    if command == "go on":
        return "dcgan", ["--data", "p", "--outdir", "run", *TINY, "--steps", "4"]
    return "gan_jax", COMMANDS[command]


ATTACKS = [
    {"class": "os:system", "fields": {"command": f"touch {CANARY}"}},
    {"class": "subprocess:call", "fields": {"args": ["touch", CANARY]}},
    {"class": "builtins:exec", "fields": {"source": f"open('{CANARY}', 'w')"}},
    {"class": "evil:Boom", "fields": {}},
    {"class": "gan_jax.files:os.system", "fields": {"command": f"touch {CANARY}"}},
    {"class": "gan_jax.cli:sys.modules", "fields": {}},
    {"class": "gan_jax..os:system", "fields": {"command": f"touch {CANARY}"}},
    {"class": "gan_jax.models.dcgan:__builtins__", "fields": {}},
    {"class": "gan_jax.training:run_experiment", "fields": {}},
    {"class": "gan_jax.data.lsun:subprocess.run", "fields": {"args": ["touch", CANARY]}},
    {"function": "os:system"},
    {"function": "evil:boom"},
    {"partial": "os:system", "args": [f"touch {CANARY}"]},
    {"module": "evil"},
    "evil:boom",
    5,
    None,
]


def attacks(valid: Path) -> Iterator[Case]:
    for i, attack in enumerate(ATTACKS):
        for place, command in itertools.product(("sampler", "generator", "latent"), ("sample", "evaluate")):

            def make(folder: Path, attack=attack, place=place, command=command) -> tuple[str, list[str]]:
                copied(valid, folder)
                (folder / "evil.py").write_text(f"open({CANARY!r}, 'w')\nboom = Boom = lambda *a, **k: open({CANARY!r}, 'w')\n")
                path = folder / "run" / "model.json"
                model = json.loads(path.read_text())
                if place == "sampler":
                    model["sampler"] = attack["class"] if isinstance(attack, dict) and "class" in attack else attack
                else:
                    model["parts"][place] = attack
                path.write_text(json.dumps(model))
                return asked(command)

            yield Case(f"attack {i} as {place}: {command}", make, MAY_CHANGE.get(command, ()), statuses=(2,))


class _Bomb:
    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


def _npy(shape: str, kind: str = "|u1") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (118 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _npz(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def _objects(path: Path) -> None:
    np.savez(path, image=np.array([_Bomb()] * 30, dtype=object))


def _saved(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)


def _zip(path: Path, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)


def _among(path: Path, name: str, content: bytes) -> None:
    pictures(path)
    (path / name).write_bytes(content)


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.png", "w", force_zip64=True) as member:
        for _ in range(300):
            member.write(bytes(10**7))


DATA: dict[str, Callable[[Path], None]] = {
    "terabytes.npz": lambda path: _npz(path, image=_npy("(1000000000, 32, 32, 3)")),
    "negative.npz": lambda path: _npz(path, image=_npy("(-5, 32, 32, 3)")),
    "overflow.npz": lambda path: _npz(path, image=_npy("(9223372036854775807, 9, 9, 3)")),
    "code.npz": lambda path: _npz(path, image=_npy("__import__('os').system('touch canary')")),
    "objects.npz": _objects,
    "pickle.npz": lambda path: path.write_bytes(pickle.dumps(_Bomb())) and None,
    "junk.npz": lambda path: path.write_bytes(bytes(range(256)) * 40) and None,
    "labels.npz": lambda path: np.savez(path, image=IMAGES, label=np.full(24, 10**8)),
    "negative_labels.npz": lambda path: np.savez(path, image=IMAGES, label=np.full(24, -1)),
    "nan.npz": lambda path: np.savez(path, image=np.full((24, 16, 16, 3), np.nan, np.float32)),
    "empty.npz": lambda path: np.savez(path, image=IMAGES[:0]),
    "zeros.npz": lambda path: np.savez(path, image=np.zeros((10**8, 0, 0, 3), np.uint8)),
    "text.npz": lambda path: np.savez(path, image=np.array(["a"] * 24)),
    "complex.npz": lambda path: np.savez(path, image=IMAGES.astype(complex)),
    "bomb.zip": _zip_bomb,
    "up.zip": lambda path: _zip(path, {"../canary": b"x", "/tmp/../canary": b"x", "a/../../canary.png": _png(16, 16)}),
    "junk.zip": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(2000)) and None,
    "nothing.zip": lambda path: _zip(path, {}),
    "huge_picture": lambda path: _among(path, "huge.png", _png(100_000, 100_000)),
    "flat_picture": lambda path: _among(path, "flat.png", _png(2**31 - 1, 1)),
    "torn_picture": lambda path: _among(path, "torn.png", _png(16, 16)[:40]),
    "big_field": lambda path: _among(path, "labels.csv", b"file,label\n00.png," + b"x" * 50_000_000 + b"\n"),
    "many_rows": lambda path: _among(path, "labels.csv", b"file,label\n" + b"00.png,1\n" * 3_000_000),
    "many_columns": lambda path: _among(path, "labels.csv", b"file," + b"a," * 2_000_000 + b"\n00.png\n"),
    "label_numbers": lambda path: _among(
        path, "labels.csv", b"file,label\n" + b"".join(b"%02d.png,1e308\n" % i for i in range(24))
    ),
    "null_bytes": lambda path: _among(path, "labels.csv", b"file,label\n00.png,\0\0\0\n"),
    "formula": lambda path: _among(path, "labels.csv", b"file,label\n../../../../etc/passwd,1\n"),
    "deep_jsonl": lambda path: _among(path, "metadata.jsonl", b"[" * 200_000),
    "long_number": lambda path: _among(path, "metadata.jsonl", b'{"file": ' + b"9" * 10_000 + b"}\n"),
    "caption": lambda path: _among(path, "00.txt", b"word " * 20_000_000),
    "celeba": lambda path: _among(path, "list_attr_celeba.txt", b"99999999999999999999\nA B\n00.png 1 -1\n"),
    "newline": lambda path: _among(path, "a\nb\x1b[31m.png", b"no picture"),
    "no_utf8": lambda path: (
        _among(path, "torn.png", b"x") or os.rename(bytes(path / "torn.png"), bytes(path) + b"/\xff\xfe.png")
    ),
    "pipe_among": lambda path: pictures(path) and os.mkfifo(path / "a.png"),
    "pipe.npz": lambda path: os.mkfifo(path),
    "device_among": lambda path: pictures(path) and (path / "a.png").symlink_to("/dev/zero"),
    "device.npz": lambda path: path.symlink_to("/dev/zero"),
    "circle": lambda path: pictures(path) and (path / "deeper").symlink_to(path),
    "circle.npz": lambda path: path.symlink_to(path.name),
    "svg": lambda path: _among(path, "a.svg", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><svg>&b;</svg>'),
    "eps": lambda path: _among(path, "a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(canary) (w) file\n"),
    "nothing": lambda path: path.mkdir(),
    "a_file": lambda path: path.write_text("no picture") and None,
    "lmdb": lambda path: path.mkdir() or ((path / "data.mdb").write_bytes(bytes(8192)) and None),
    "lmdb_junk": lambda path: path.mkdir() or ((path / "data.mdb").write_bytes(os.urandom(65536)) and None),
}
PLACES = [
    "~nosuch/x",
    "x" * 300,
    "\x1b[31m",
    "..",
    "/proc/self/mem",
    "/dev/stdin",
    "celeb_a/../x",
    "lsun/../../x",
    "a\0b"[:1],
    "--",
    "s3://x/y",
]


def data() -> Iterator[Case]:
    ways = {"check": ["data", "check"], "preview": ["data", "preview"], "dcgan": [], "ref": []}
    for name, way in itertools.product(DATA, ways):

        def make(folder: Path, name=name, way=way) -> tuple[str, list[str]]:
            DATA[name](folder / name)
            if way == "dcgan":
                return "dcgan", ["--data", name, *TINY, "--dry-run"]
            if way == "ref":
                pictures(folder / "mine")
                how = ["--n", "20", "--metrics", "kid", "--features", "pixels", "--repeats", "1"]
                return "gan_jax", ["evaluate", "mine", "--ref", name, *how]
            return "gan_jax", [*ways[way], name, "--image-size", "16", "--out", "sheet.png"]

        yield Case(f"data {name}: {way}", make)
    for i, (place, way) in enumerate(itertools.product(PLACES, ("check", "evaluate", "dcgan", "sample"))):
        args = {
            "check": ["data", "check", place, "--out", "sheet.png"],
            "evaluate": ["evaluate", place, "--features", "pixels"],
            "sample": ["sample", place],
            "dcgan": [f"--data={place}", *TINY, "--dry-run"],
        }[way]
        yield Case(
            f"place {i} {place[:20]!r}: {way}",
            lambda folder, way=way, args=args: ("dcgan" if way == "dcgan" else "gan_jax", args),
        )


WEIGHTS: dict[str, Callable[[Path], None]] = {
    "pickle.pth": lambda path: path.write_bytes(pickle.dumps(_Bomb())) and None,
    "zipped.pth": lambda path: _zip(path, {"archive/data.pkl": pickle.dumps(_Bomb()), "archive/version": b"3\n"}),
    "junk.pth": lambda path: path.write_bytes(os.urandom(5000)) and None,
    "objects.npz": _objects,
    "terabytes.npz": lambda path: _npz(path, a=_npy("(1000000000, 1000)", "<f4")),
    "other.npz": lambda path: np.savez(path, a=np.zeros(3)),
    "empty.npz": lambda path: path.write_bytes(b"") and None,
    "pipe.npz": lambda path: os.mkfifo(path),
    "folder.npz": lambda path: path.mkdir(),
    "circle.npz": lambda path: path.symlink_to(path.name),
}


def weights() -> Iterator[Case]:
    for name, way in itertools.product(WEIGHTS, ("inception", "squeezenet", "convert")):

        def make(folder: Path, name=name, way=way) -> tuple[str, list[str]]:
            WEIGHTS[name](folder / name)
            pictures(folder / "mine")
            if way == "convert":
                return "gan_jax", ["weights", "convert", name, "--network", "inception", "--out", "out.npz"]
            how = ["--n", "20", "--metrics", "kid", "--repeats", "1", "--features", way, "--weights", name]
            return "gan_jax", ["evaluate", "mine", "--ref", "mine", *how]

        yield Case(f"weights {name}: {way}", make, statuses=(2,))
