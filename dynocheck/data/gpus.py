"""What kinds of GPU there are, and what each can compute."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import msgspec

from dynocheck.core.spelling import find_slip

_SIZE = re.compile(r"(?<![0-9])([0-9]{2,3})GB(?![0-9a-z])", re.IGNORECASE)
_MODEL = re.compile(r"(?!SXM|HBM|MIG)[A-Z]{1,3}[0-9]{1,4}[A-Z]?")
_ALWAYS_NAMED = (9, 0)  # the compute capability from which on every driver names the maker
_SLICE = re.compile(r"-MIG-[0-9]+g\.([0-9]+)gb")


class GpuType(msgspec.Struct, frozen=True):
    """A GPU by its product label. `host` is the architecture of the CPU it is soldered to, where it is.

    `memory_gb` is nominal, and None where neither the name nor a source tells it. `data_center` is whether
    NVIDIA supports CUDA's forward compatibility on it. `per_node` is how many of
    them a node has, where all nodes have that many.
    """

    product: str
    generation: str
    compute: str
    data_center: bool
    source: str
    host: str | None = None
    memory_gb: int | None = None
    memory_source: str = ""
    per_node: int | None = None
    node_source: str = ""

    @property
    def capability(self) -> tuple[int, int]:
        return parse_capability(self.compute)


class PrecisionSupport(msgspec.Struct, frozen=True):
    """From which compute capability on an engine computes in a precision.

    `weights_only` is from where it at least loads such weights and computes in a wider one, None where
    it does not. On the capabilities `partly` it depends, as `note` says.
    """

    precision: str
    engine: str
    native: str
    weights_only: str | None
    source: str
    note: str = ""
    partly: tuple[str, ...] = ()


def parse_capability(version: str) -> tuple[int, int]:
    """A compute capability such as `9.0` as numbers."""
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def gpu_type(product: str) -> GpuType | None:
    """The row of a product label, or None when the table does not have it."""
    return _types().get(product)


def find_capability(product: str) -> tuple[int, int] | None:
    """The compute capability of a product label: by the table, else by its model, as H100."""
    row = gpu_type(product)
    found = {_capabilities().get(word) for word in product.upper().split("-")} - {None}
    return row.capability if row is not None else found.pop() if len(found) == 1 else None


def find_misspelt_product(product: str) -> str | None:
    """The known product that a label's value must be a misspelling of; None if it is right, or unknown."""
    meant = find_slip(product, _types())
    known = {word for name in _types() for word in name.split("-")}
    strange = set(product.split("-")) - set((meant or "").split("-"))
    return None if strange <= known else meant  # H100 is no misspelling of A100


def find_bare_product(product: str) -> str | None:
    """The known product that a label's value names without its maker, as B200; None if it is none.

    The feature discovery labels a node with the driver's name of the GPU. Drivers since 470 put NVIDIA before
    it, those for Hopper and later all do.
    """
    full = f"NVIDIA-{product.removesuffix('-SHARED')}"
    row = gpu_type(full) or next(
        (row for row in _types().values() if row.product.startswith(f"{full}-")), None
    )
    return row.product if row is not None and row.capability >= _ALWAYS_NAMED else None


def find_memory_gb(product: str) -> int | None:
    """The nominal memory of a product label: of its MIG slices, by the table, or by its own name."""
    row, named = gpu_type(product.removesuffix("-SHARED")), _SLICE.search(product) or _SIZE.search(product)
    return row.memory_gb if row is not None else int(named[1]) if named else None


def max_per_node(products: Iterable[str]) -> int | None:
    """The most of these GPUs that one node has, or None when the table does not have that of each product."""
    found = [row.per_node if (row := gpu_type(product)) else None for product in products]
    known = [number for number in found if number is not None]
    return max(known) if known and len(known) == len(found) else None


@cache
def list_memory_sizes() -> tuple[int, ...]:
    """The nominal memory of every known product, smallest first."""
    return tuple(sorted({row.memory_gb for row in _types().values() if row.memory_gb}))


def precision_support(name: str, engine: str) -> PrecisionSupport | None:
    """What an engine needs for this precision, or None when the table does not say."""
    return _precisions().get((name, engine))


@cache
def _types() -> dict[str, GpuType]:
    rows = msgspec.json.decode((files(__package__) / "gpus.json").read_bytes(), type=list[GpuType])
    return {row.product: row for row in rows}


@cache
def _capabilities() -> dict[str, tuple[int, int]]:
    """The compute capability of each GPU model, such as H100."""
    return {
        word: row.capability
        for row in _types().values()
        for word in filter(_is_model, row.product.split("-"))
    }


def _is_model(word: str) -> bool:
    return _MODEL.fullmatch(word) is not None


@cache
def _precisions() -> dict[tuple[str, str], PrecisionSupport]:
    rows = msgspec.json.decode(
        (files(__package__) / "precisions.json").read_bytes(), type=list[PrecisionSupport]
    )
    return {(row.precision, row.engine): row for row in rows}
