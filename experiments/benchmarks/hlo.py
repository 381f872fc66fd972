"""What a compiled program consists of, read from its HLO text: instructions, their arithmetic and their bytes."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

_SIZES = {"pred": 1, "s8": 1, "u8": 1, "f16": 2, "bf16": 2, "s16": 2, "u16": 2, "s64": 8, "u64": 8, "f64": 8}  # others: 4
_HEADER = re.compile(r"^(?:ENTRY )?%([\w.\-]+) \(")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
_NAME = re.compile(r'op_name="([^"]*)"')
_CALLED = re.compile(r"calls=%([\w.\-]+)")
_OPERAND = re.compile(r"%([\w.\-]+)")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_WINDOW = re.compile(r"window=\{size=([\dx]+)")
_LABELS = re.compile(r"dim_labels=\w+_(\w+)->")

Shape = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Instruction:
    """One instruction: `path` is the scope that it was traced in, such as jit(step)/jvp(Generator)/Dense_0/dot_general."""

    name: str
    shapes: tuple[Shape, ...]
    opcode: str
    rest: str

    @cached_property
    def path(self) -> str:
        found = _NAME.search(self.rest)
        return found.group(1) if found else ""

    @cached_property
    def called(self) -> str:
        """The computation of a fusion."""
        found = _CALLED.search(self.rest)
        return found.group(1) if found else ""

    @cached_property
    def operands(self) -> tuple[str, ...]:
        return tuple(_OPERAND.findall(self.rest.split(")", 1)[0]))

    @property
    def nbytes(self) -> int:
        """Of its result."""
        return sum(_SIZES.get(dtype, 4) * math.prod(dims) for dtype, dims in self.shapes)


class Program:
    """The instructions of a compiled program by their names, as traces call them."""

    def __init__(self, text: str) -> None:
        self.computations: dict[str, list[Instruction]] = {}
        self.entry: list[Instruction] = []
        current: list[Instruction] = []
        for line in text.splitlines():
            if found := _HEADER.match(line):
                current = self.computations.setdefault(found.group(1), [])
                self.entry = current if line.startswith("ENTRY") else self.entry
            elif found := _INSTRUCTION.match(line):
                name, shapes, opcode, rest = found.groups()
                current.append(Instruction(name, _shapes(shapes), opcode, rest))
        self.instructions = {one.name: one for each in self.computations.values() for one in each}

    def inside(self, name: str) -> Sequence[Instruction]:
        """What an instruction consists of: itself, or the instructions of a fusion."""
        one = self.instructions[name]
        return self.computations[one.called] if one.opcode == "fusion" and one.called in self.computations else [one]

    def flops(self, name: str) -> float:
        """Operations of its matrix products and convolutions, two a multiplication; others count nothing."""
        return sum(_flops(one, self.instructions) for one in self.inside(name))

    def multiplies(self, name: str) -> bool:
        """Whether it holds a matrix product or a convolution."""
        return any(one.opcode in ("dot", "convolution") for one in self.inside(name))

    def nbytes(self, name: str) -> int:
        """Bytes that it reads and writes, each operand and result once."""
        one = self.instructions[name]
        read = (self.instructions[operand].nbytes for operand in one.operands if operand in self.instructions)
        return one.nbytes + sum(read)

    def path(self, name: str) -> str:
        """Where it was traced: of a fusion its heaviest product's scope, or else its root's."""
        parts = self.inside(name)
        products = [one for one in parts if one.opcode in ("dot", "convolution") and one.path]
        if products:
            return max(products, key=lambda one: _flops(one, self.instructions)).path
        own = self.instructions[name].path
        return own or next((one.path for one in reversed(parts) if one.path), "")


def _shapes(text: str) -> tuple[Shape, ...]:
    return tuple((dtype, tuple(int(n) for n in dims.split(",") if n)) for dtype, dims in _SHAPE.findall(text))


def _flops(one: Instruction, known: Mapping[str, Instruction]) -> float:
    if one.opcode not in ("dot", "convolution") or not one.operands or one.operands[0] not in known:
        return 0.0
    out = math.prod(one.shapes[0][1])
    if one.opcode == "dot":
        found = _CONTRACTED.search(one.rest)
        dims = known[one.operands[0]].shapes[0][1]
        return 2.0 * out * math.prod(dims[int(i)] for i in (found.group(1) if found else "").split(",") if i)
    window, labels = _WINDOW.search(one.rest), _LABELS.search(one.rest)
    taps = math.prod(int(n) for n in window.group(1).split("x")) if window else 1
    kernel = known[one.operands[1]].shapes[0][1]
    return 2.0 * out * taps * (kernel[labels.group(1).index("i")] if labels else 1)
