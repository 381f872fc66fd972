"""What an exported generator is, as JSON and as Markdown: inputs, data, licence, scores, the command, versions."""

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.errors import InputError
from gan_jax.runs.records import Row, json_default, read_json, read_rows
from gan_jax.runs.spec import open_script
from gan_jax.runs.trained import Trained
from gan_jax.scripts import PACKAGE

FORMAT = 1  # of the exported file
_PLACES = ("outdir", "init_from", "coordinator", "processes", "process")  # flags that mean something on one machine alone
_DRAWN = {"gan_jax.latents:Normal": "standard normal", "gan_jax.latents:Uniform": "uniform in (-1, 1)"}
_VERSIONS = ("gan_jax", "jax", "jaxlib")
Shapes = Mapping[str, jax.ShapeDtypeStruct]


def card_of(
    trained: Trained,
    licence: str,
    inputs: Shapes,
    output: jax.ShapeDtypeStruct,
    captions: Shapes,
    platforms: Sequence[str],
) -> Row:
    """The card of a generator with these inputs and this output; `captions` are the inputs of its encoder, if it has one.

    Folders of this machine are left out of it. Raises `InputError` where a file of the run is damaged.
    """
    run, facts = trained.run, trained.facts
    flags, env = read_json(run / "config.json") or {}, read_json(run / "env.json") or {}
    leaves = jax.tree.leaves(trained.variables["params"])
    return {
        "format": FORMAT,
        "name": run.resolve().name,
        "step": trained.step,
        "weights": "moving average" if trained.averaged else "newest",
        "statistics": trained.statistics,
        "sampler": {"sampler": facts["sampler"], "parts": facts["parts"]},
        "parameters": sum(int(np.size(leaf)) for leaf in leaves),
        "inputs": {name: _described(each, _meaning(name, facts)) for name, each in inputs.items()},
        "encoder": {name: _described(each, "UTF-8 bytes, zeros behind") for name, each in captions.items()},
        "output": _described(output, "pictures in [-1, 1]" if len(output.shape) == 4 else "samples"),
        "classes": list(trained.classes),
        "platforms": list(platforms),
        "data": {"name": _public(flags.get("data")), "fingerprint": env.get("data")},
        "licence": licence,
        "scores": scores_of(run, trained.step),
        "command": command_of(run, flags, facts.get("script")),
        "trained_with": {"python": env.get("python"), **_versions(env.get("versions")), "device": env.get("device")},
        "exported_with": {name: _version(name) for name in _VERSIONS},
    }


def _described(each: jax.ShapeDtypeStruct, meaning: str) -> Row:
    shape = [side if isinstance(side, int) else str(side) for side in each.shape]
    return {"shape": shape, "dtype": np.dtype(each.dtype).name, "meaning": meaning}


def _meaning(name: str, facts: Mapping[str, Any]) -> str:
    """What an input is, in words."""
    if name == "z":
        latent = facts["parts"].get("latent")
        kind = latent.get("class") if isinstance(latent, dict) else None
        return f"latent codes, {_DRAWN.get(str(kind), str(kind))}"
    told = {"label": "numbers of classes", "text": "embeddings of captions", "low": "pictures to enlarge, of even sides"}
    return told.get(name, "")


def _versions(found: Any) -> Row:
    """The versions that env.json names, {} where it is damaged."""
    return found if isinstance(found, dict) else {}


def _version(name: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return "not installed"


def _public(value: Any) -> Any:
    """A value without the folders of this machine."""
    if isinstance(value, str) and value.startswith(("/", "~", "..")):
        return Path(value).name
    return value


def scores_of(run: Path, step: int) -> list[Row]:
    """The newest row of eval.jsonl of each source up to the step: with its own step, and its protocol if it has one."""
    newest = {str(row.get("source", "evaluate")): row for row in read_rows(run / "eval.jsonl") if row["step"] <= step}
    return [{"source": source, **row} for source, row in newest.items()]


def command_of(run: Path, flags: Row, script: Any) -> str:
    """The command that trained a run, without flags that have their defaults where its script is ours; "" if not known."""
    if not isinstance(script, dict) or not isinstance(script.get("build"), str):
        return ""
    defaults: Row = {}
    with contextlib.suppress(InputError):  # a script of others is not imported
        defaults = _defaults(open_script(script)[1])
    package, _, name = script["build"].partition(":")[0].partition(".")
    words = ["gan_jax", "run", name] if package == PACKAGE else ["python", "-m", script["build"].partition(":")[0]]
    for name, value in flags.items():
        if name not in _PLACES and (name not in defaults or defaults[name] != value):
            words += _words(name.replace("_", "-"), value)
    return shlex.join(words)


def _defaults(kind: type) -> Row:
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    read: Row = json.loads(json.dumps(found, default=json_default))
    return read


def _words(name: str, value: Any) -> list[str]:
    """A flag as a command line has it."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(str(_public(one)) for one in values)]


def as_markdown(card: Row, loader: str, file: str) -> str:
    """The card as a page; `loader` is the source that it shows, `file` the exported file's name."""
    facts = {
        "round": f"{card['step']:,}",
        "weights": f"{card['weights']}, {card['statistics']} statistics, {card['parameters']:,} parameters",
        "data": f"{card['data']['name'] or 'not known'}, fingerprint {card['data']['fingerprint']}",
        "licence": card["licence"],
        "platforms": ", ".join(card["platforms"]),
        **({"classes": ", ".join(card["classes"])} if card["classes"] else {}),
        **{f"input `{name}`": _line(each) for name, each in card["inputs"].items()},
        **{f"input `{name}` of the encoder": _line(each) for name, each in card["encoder"].items()},
        "output": _line(card["output"]),
        "trained with": _listed(card["trained_with"]),
        "exported with": _listed(card["exported_with"]),
    }
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in facts.items())
    command = f"Trained by\n\n    {card['command']}\n" if card["command"] else "The command that trained it is not known.\n"
    licence = f"license: other\nlicense_name: {json.dumps(card['licence'])}\n" if card["licence"] else ""
    head = f"---\nlibrary_name: gan_jax\ntags: [gan, jax, stablehlo]\n{licence}---\n"
    return (
        f"{head}# {_cell(card['name'])}\n\nA generator, exported by gan_jax.\n\n| | |\n|---|---|\n{rows}\n\n{command}\n"
        f"## Scores\n\n{_told(card['scores'])}\n## Use\n\n{_example(card, file)}\n`load.py`, which is in the file too:\n\n"
        f"```python\n{loader}```\n"
    )


def _line(each: Row) -> str:
    return f"{each['dtype']} ({', '.join(map(str, each['shape']))}), {each['meaning']}".removesuffix(", ")


def _listed(versions: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in versions.items() if value is not None)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _told(scores: Sequence[Row]) -> str:
    """Every score with its deviation and what real examples score, then what it was measured by."""
    if not scores:
        return "None were measured.\n"
    blocks = []
    for row in scores:
        names = [name for name, value in row.items() if isinstance(value, int | float) and not _beside(name)]
        table = [f"| {name} | {_deviated(row, name)} | {_shown(row.get(f'{name}_floor'))} |" for name in names]
        protocol = row.get("protocol")
        told = _listed(protocol) if isinstance(protocol, dict) else "none was kept"
        head = f"Round {row['step']:,}, source {_cell(row['source'])}:\n\n| | samples | real |\n|---|---|---|"
        blocks.append("\n".join([head, *table, f"\nProtocol: {_cell(told)}.\n"]))
    return "\n".join(blocks)


def _beside(name: str) -> bool:
    return name in ("step", "source") or name.endswith(("_std", "_floor"))


def _deviated(row: Row, name: str) -> str:
    return _shown(row[name]) + (f" ± {_shown(row[f'{name}_std'])}" if f"{name}_std" in row else "")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def _example(card: Row, file: str) -> str:
    """How the file is used, for its own inputs."""
    lines, given = ["import numpy as np", "from load import load", "", f"FILE = {file!r}", "sample, card = load(FILE)"], []
    for name, each in card["inputs"].items():
        sides = ", ".join("16" if side == "b" else "24" if isinstance(side, str) else str(side) for side in each["shape"])
        if name == "text" and card["encoder"]:
            length = card["encoder"]["caption"]["shape"][-1]
            lines += [
                'embed, _ = load(FILE, "encoder")',
                f'words = np.frombuffer(b"words of the data".ljust({length}, b"\\0"), np.uint8)',
                "text = embed(caption=np.tile(words, (16, 1)))",
            ]
            given.append("text=text")
        elif "uniform" in each["meaning"]:
            given.append(f"z=np.random.default_rng(0).uniform(-1, 1, ({sides}))")
        elif name in ("z", "text"):
            given.append(f"{name}=np.random.default_rng(0).standard_normal(({sides}))")
        else:
            given.append(f"{name}=np.zeros(({sides.rstrip(', ') + ','}), np.{each['dtype']})")
    lines.append(f"x = np.asarray(sample({', '.join(given)}))")
    if len(card["output"]["shape"]) == 4:
        lines.append("pictures = np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8)")
    return "```python\n" + "\n".join(lines) + "\n```\n"
