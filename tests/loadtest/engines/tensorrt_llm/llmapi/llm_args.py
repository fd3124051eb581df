from typing import Any


class TorchLlmArgs:
    def __init__(self, model: str, max_batch_size: int = 1, kv_cache_config: Any = None) -> None:
        if not isinstance(max_batch_size, int):
            raise ValueError("max_batch_size: Input should be a valid integer")
