"""A little work on each GPU through torch or cupy, in a process with which all that it allocated goes.

    python -m dynocheck.probes.node._exercise SECONDS

writes a line of JSON about the library, and one about each GPU as soon as it is done.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

_BYTES = 1 << 30  # of a buffer that is copied
_SIDE = 8192  # of the matrices
_NEEDED = 4 * _BYTES  # of free memory
_REPEATS = 10
_PATTERN = 7


class Library(Protocol):
    """What computes on GPUs: arrays of bytes, and of half precision."""

    name: str
    count: int

    def get_name(self, gpu: int) -> str:
        """The name of a GPU."""

    def get_free(self, gpu: int) -> int:
        """The bytes of its memory that are free."""

    def fill(self, gpu: int, value: int) -> Any:
        """A buffer of bytes with this value in its memory."""

    def fill_host(self, value: int) -> Any:
        """A quarter of such a buffer in the host's memory, pinned."""

    def copy(self, target: Any, source: Any) -> None:
        """Begin to copy a buffer, also from another GPU, or from the host into the beginning of one."""

    def make_product(self, gpu: int) -> tuple[Any, Callable[[], None]]:
        """A matrix, and what begins to multiply two matrices of ones into it."""

    def synchronize(self, gpu: int) -> None:
        """Wait for what was begun."""


class Torch:
    """Torch.

    :raises ImportError: it is not installed.
    :raises LookupError: it can use no GPU.
    """

    def __init__(self) -> None:
        self._torch = torch = import_module("torch")
        if torch.version.cuda is None:
            raise LookupError(f"torch {torch.__version__} is built without CUDA")
        if not torch.cuda.is_available():
            raise LookupError(f"torch {torch.__version__} finds no GPU")
        self.name = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
        self.count: int = torch.cuda.device_count()

    def get_name(self, gpu: int) -> str:
        return str(self._torch.cuda.get_device_name(gpu))

    def get_free(self, gpu: int) -> int:
        return int(self._torch.cuda.mem_get_info(gpu)[0])

    def fill(self, gpu: int, value: int) -> Any:
        return self._torch.full((_BYTES,), value, dtype=self._torch.uint8, device=f"cuda:{gpu}")

    def fill_host(self, value: int) -> Any:
        return self._torch.full((_BYTES // 4,), value, dtype=self._torch.uint8, pin_memory=True)

    def copy(self, target: Any, source: Any) -> None:
        target[: len(source)].copy_(source, non_blocking=True)

    def make_product(self, gpu: int) -> tuple[Any, Callable[[], None]]:
        torch = self._torch
        ones = torch.ones((_SIDE, _SIDE), dtype=torch.float16, device=f"cuda:{gpu}")
        product = torch.empty_like(ones)
        return product, lambda: torch.matmul(ones, ones, out=product)

    def synchronize(self, gpu: int) -> None:
        self._torch.cuda.synchronize(gpu)


class Cupy:
    """CuPy, which compiles what it does on a GPU.

    :raises ImportError: it is not installed.
    :raises LookupError: it can use no GPU.
    """

    def __init__(self) -> None:
        self._cupy = cupy = import_module("cupy")
        try:
            self.count: int = cupy.cuda.runtime.getDeviceCount()
            with suppress(cupy.cuda.runtime.CUDARuntimeError):  # a GPU that fails is told when it is measured
                cupy.ones(1).sum()
        except Exception as error:  # of whatever it needs to compile
            raise LookupError(f"cupy {cupy.__version__}: {_shorten(error)}") from error
        self.name = f"cupy {cupy.__version__}, CUDA {cupy.cuda.runtime.runtimeGetVersion()}"

    def get_name(self, gpu: int) -> str:
        return str(self._cupy.cuda.runtime.getDeviceProperties(gpu)["name"].decode())

    def get_free(self, gpu: int) -> int:
        return int(self._cupy.cuda.Device(gpu).mem_info[0])

    def fill(self, gpu: int, value: int) -> Any:
        with self._cupy.cuda.Device(gpu):
            return self._cupy.full(_BYTES, value, dtype="uint8")

    def fill_host(self, value: int) -> Any:
        host = import_module("cupyx").empty_pinned(_BYTES // 4, "uint8")
        host.fill(value)
        return host

    def copy(self, target: Any, source: Any) -> None:
        on_gpu = isinstance(source, self._cupy.ndarray)
        with source.device if on_gpu else target.device:
            if on_gpu:
                target.data.copy_from_device_async(source.data, source.nbytes)
            else:
                target[: len(source)].set(source, stream=self._cupy.cuda.get_current_stream())

    def make_product(self, gpu: int) -> tuple[Any, Callable[[], None]]:
        cupy = self._cupy
        with cupy.cuda.Device(gpu):
            ones = cupy.ones((_SIDE, _SIDE), dtype="float16")
            product = cupy.empty_like(ones)

        def multiply() -> None:
            with cupy.cuda.Device(gpu):
                cupy.matmul(ones, ones, out=product)

        return product, multiply

    def synchronize(self, gpu: int) -> None:
        self._cupy.cuda.Device(gpu).synchronize()


def measure_all(library: Library, limit_s: float) -> Iterator[dict[str, Any]]:
    """What each GPU did, until the time is over."""
    end = time.monotonic() + limit_s
    for gpu in range(library.count):
        if time.monotonic() > end:
            return
        found: dict[str, Any] = {"index": gpu, "name": library.get_name(gpu)}
        try:
            found |= {"busy": True} if library.get_free(gpu) < _NEEDED else measure(library, gpu)
        except Exception as error:  # of CUDA, of whatever kind: it is what is to be told
            found["fault"] = _shorten(error)
        yield found


def measure(library: Library, gpu: int) -> dict[str, float]:
    """GB/s of copies on a GPU, from the host and to its peer, and TFLOPS in half precision.

    :raises RuntimeError: a result is wrong, or CUDA fails.
    """

    def rate(amount: int, begin: Callable[[], object]) -> float:
        """Thousand millions a second of an amount that a piece of work does."""
        begin()
        library.synchronize(gpu)
        started = time.perf_counter()
        for _ in range(_REPEATS):
            begin()
        library.synchronize(gpu)
        return round(amount * _REPEATS / 1e9 / (time.perf_counter() - started), 1)

    source, target = library.fill(gpu, _PATTERN), library.fill(gpu, 0)
    found = {"device_gb_s": 2 * rate(_BYTES, lambda: library.copy(target, source))}
    _expect(target, _PATTERN, "a copy")
    host = library.fill_host(_PATTERN)
    found["host_gb_s"] = rate(_BYTES // 4, lambda: library.copy(target, host))
    peer = (gpu + 1) % library.count
    if peer != gpu:
        away = library.fill(peer, 0)
        found["peer_gb_s"] = rate(_BYTES, lambda: library.copy(away, source))
        library.synchronize(peer)
        _expect(away, _PATTERN, f"a copy to GPU {peer}")
    product, multiply = library.make_product(gpu)
    found["tflops"] = rate(2 * _SIDE**3, multiply) / 1e3
    _expect(product, _SIDE, "a product of matrices")
    return found


def _expect(values: Any, wanted: int, what: str) -> None:
    low, high = float(values.min()), float(values.max())
    if (low, high) != (wanted, wanted):
        raise RuntimeError(f"{what} holds {low:g} to {high:g}, not {wanted}")


def _shorten(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def open_library() -> Library:
    """The first library that can use a GPU.

    :raises LookupError: there is none.
    """
    obstacles = []
    for kind in (Torch, Cupy):
        try:
            return kind()
        except ImportError:
            continue
        except LookupError as error:
            obstacles.append(str(error))
    raise LookupError("; ".join(obstacles) or "neither torch nor cupy is installed beside dynocheck")


def main(limit_s: float) -> None:
    """Write what was found."""
    try:
        library = open_library()
    except LookupError as error:
        print(json.dumps({"absent": str(error)}))
        return
    print(json.dumps({"library": library.name}), flush=True)
    for found in measure_all(library, limit_s):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
