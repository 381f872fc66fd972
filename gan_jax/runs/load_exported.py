"""Opens a generator that `python -m gan_jax export` wrote, without gan_jax: needs jax, numpy and flatbuffers (for jax.export)."""

import json
import zipfile
from functools import partial

import jax
import numpy as np
from jax import export


def load(file, program="generator"):
    """(call, card): `call(**inputs)` is the program on rows of the inputs that card["inputs"] names, as a jax array."""
    with zipfile.ZipFile(file) as opened:
        card, raw = json.loads(opened.read("card.json")), opened.read("weights.safetensors")
        made = export.deserialize(bytearray(opened.read(f"{program}.jaxexport")))
    start = 8 + int.from_bytes(raw[:8], "little")
    header = {name: entry for name, entry in json.loads(raw[8:start]).items() if name != "__metadata__"}
    weights = {}
    for name, entry in header.items():  # F32 is NumPy's f4
        kind, (low, high) = np.dtype(f"<{entry['dtype'][0].lower()}{int(entry['dtype'][1:]) // 8}"), entry["data_offsets"]
        weights[name] = np.frombuffer(raw[start + low : start + high], kind).reshape(entry["shape"])
    types = {name: np.dtype(each["dtype"]) for name, each in card["inputs"].items()} | {"caption": np.dtype("uint8")}
    call = partial(jax.jit(made.call), weights)
    return lambda **inputs: call({name: np.asarray(value, types[name]) for name, value in inputs.items()}), card
