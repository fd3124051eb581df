"""NVML through nvidia-ml-py, whose refusals are answers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_WIDE = (2, 3)  # NVML_VALUE_TYPE_UNSIGNED_LONG and _LONG_LONG


class Nvml:
    """An open NVML."""

    MAX_LINKS = 36  # NVML_NVLINK_MAX_LINKS of driver 610

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What NVML answers, None where it cannot: not supported, an older driver, no permission."""
        try:
            return call(*arguments)
        except self.module.NVMLError:
            return None

    def read_fields(self, handle: Any, fields: Sequence[int | tuple[int, int]]) -> list[int | None]:
        """The values of fields, each an id or an id and a link; None where NVML has none."""
        values = self.ask(self.module.nvmlDeviceGetFieldValues, handle, fields) if fields else []
        if values is None:
            return [None] * len(fields)
        return [
            _get_number(value) if value.nvmlReturn == self.module.NVML_SUCCESS else None for value in values
        ]

    def read_field(self, handle: Any, field: int) -> int | None:
        """The value of one field."""
        return next(iter(self.read_fields(handle, [field])))

    def list_handles(self) -> Iterator[tuple[int, Any]]:
        """The GPUs that NVML gives a handle to."""
        for index in range(self.ask(self.module.nvmlDeviceGetCount) or 0):
            handle = self.ask(self.module.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                yield index, handle


def _get_number(field: Any) -> int:
    return int(field.value.ullVal if field.valueType in _WIDE else field.value.uiVal)


@contextmanager
def open_nvml() -> Iterator[Nvml | None]:
    """NVML for as long as the block lasts, None where there is none. Openings are counted by NVML."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        yield None
        return
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield Nvml(pynvml)
    finally:
        pynvml.nvmlShutdown()
