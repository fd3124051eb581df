"""A little work on each GPU through torch, in a process of its own, with which all that it allocated goes.

    python -m dynocheck.probes.node._exercise SECONDS

writes a line of JSON about torch, and one about each GPU as soon as it is done.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

_BYTES = 1 << 30  # of a buffer that is copied
_SIDE = 8192  # of the matrices
_NEEDED = 4 * _BYTES  # of free memory
_REPEATS = 10
_PATTERN = 7


class Exerciser:
    """Measures GPUs, and checks what they computed and copied."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def find_obstacle(self) -> str | None:
        """Why torch can use no GPU."""
        version = f"torch {self._torch.__version__}"
        if self._torch.version.cuda is None:
            return f"{version} is built without CUDA"
        return None if self._torch.cuda.is_available() else f"{version} finds no GPU"

    def place(self, gpu: int) -> str:
        return f"cuda:{gpu}"

    def measure_all(self, limit_s: float) -> Iterator[dict[str, Any]]:
        """What each GPU did, until the time is over."""
        end = time.monotonic() + limit_s
        count = self._torch.cuda.device_count()
        for gpu in range(count):
            if time.monotonic() > end:
                return
            found: dict[str, Any] = {"index": gpu, "name": self._torch.cuda.get_device_name(gpu)}
            try:
                if self._torch.cuda.mem_get_info(gpu)[0] < _NEEDED:
                    found["busy"] = True
                else:
                    found |= self.measure(gpu, (gpu + 1) % count)
            except Exception as error:  # of CUDA, of whatever kind: it is what is to be told
                found["fault"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            yield found

    def measure(self, gpu: int, peer: int) -> dict[str, float]:
        """GB/s of copies on the GPU, from the host and to its peer, and TFLOPS in half precision.

        :raises RuntimeError: a result is wrong, or CUDA fails.
        """
        torch, place = self._torch, self.place(gpu)
        source = torch.full((_BYTES,), _PATTERN, dtype=torch.uint8, device=place)
        target = torch.zeros_like(source)
        found = {"device_gb_s": 2 * self._rate(gpu, _BYTES, lambda: target.copy_(source))}
        self._expect(target, _PATTERN, "a copy")
        host = torch.full((_BYTES // 4,), _PATTERN, dtype=torch.uint8, pin_memory=place != "cpu")
        part = target[: _BYTES // 4]
        found["host_gb_s"] = self._rate(gpu, _BYTES // 4, lambda: part.copy_(host, non_blocking=True))
        if peer != gpu:
            away = torch.zeros(_BYTES, dtype=torch.uint8, device=self.place(peer))
            found["peer_gb_s"] = self._rate(gpu, _BYTES, lambda: away.copy_(source, non_blocking=True))
            self._expect(away, _PATTERN, f"a copy to GPU {peer}")
        ones = torch.ones((_SIDE, _SIDE), dtype=torch.float16, device=place)
        product = torch.empty_like(ones)
        operations = 2 * _SIDE**3
        found["tflops"] = self._rate(gpu, operations, lambda: torch.matmul(ones, ones, out=product)) / 1e3
        self._expect(product, _SIDE, "a product of matrices")
        return found

    def _rate(self, gpu: int, amount: int, work: Callable[[], object]) -> float:
        """Thousand millions a second of an amount that a piece of work does."""
        work()
        self.synchronize(gpu)
        started = time.perf_counter()
        for _ in range(_REPEATS):
            work()
        self.synchronize(gpu)
        return round(amount * _REPEATS / 1e9 / (time.perf_counter() - started), 1)

    def synchronize(self, gpu: int) -> None:
        self._torch.cuda.synchronize(gpu)

    def _expect(self, values: Any, wanted: int, what: str) -> None:
        low, high = float(values.min()), float(values.max())
        if (low, high) != (wanted, wanted):
            raise RuntimeError(f"{what} holds {low:g} to {high:g}, not {wanted}")


def main(limit_s: float) -> None:
    """Write what was found."""
    try:
        import torch
    except ImportError:
        print(json.dumps({"absent": "torch is not installed beside dynocheck"}))
        return
    exerciser = Exerciser(torch)
    if obstacle := exerciser.find_obstacle():
        print(json.dumps({"absent": obstacle}))
        return
    print(json.dumps({"library": f"torch {torch.__version__}, CUDA {torch.version.cuda}"}), flush=True)
    for found in exerciser.measure_all(limit_s):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
