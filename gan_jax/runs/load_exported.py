"""Opens a generator that `python -m gan_jax export` wrote, without gan_jax: needs jax with flatbuffers, and numpy."""

import json
import zipfile
from functools import partial

import jax
import numpy as np
from jax import export


def load(file, program="generator"):
    """(call, card): `call(**inputs)` takes rows of what card["inputs"] names, for "encoder" card["encoder"]."""
    with zipfile.ZipFile(file) as opened:
        card, raw = json.loads(opened.read("card.json")), opened.read("weights.safetensors")
        made = export.deserialize(bytearray(opened.read(f"{program}.jaxexport")))
    start, weights = 8 + int.from_bytes(raw[:8], "little"), {}
    for name, entry in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            kind = f"<{entry['dtype'][0].lower()}{int(entry['dtype'][1:]) // 8}"  # F32 is NumPy's f4
            low, high = entry["data_offsets"]
            weights[name] = np.frombuffer(raw[start + low : start + high], kind).reshape(entry["shape"])
    call, takes = partial(jax.jit(made.call), weights), card["inputs"] | card["encoder"]
    return lambda **inputs: call({name: np.asarray(x, takes[name]["dtype"]) for name, x in inputs.items()}), card
