"""Other people's packages, to compare with."""

import importlib
from typing import Any


def peer(name: str) -> Any:
    """The module `name` of a package that needs PyTorch and torchvision; raises `ImportError` if it is not installed.

    PyPI's torchvision is built for CUDA. Beside a CPU build of PyTorch it cannot load its own operators, which is no harm
    here, but it stops at the first two that are not declared.
    """
    torch = importlib.import_module("torch")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module(name)
