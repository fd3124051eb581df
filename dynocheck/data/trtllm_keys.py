"""The keys that TensorRT-LLM's YAML file may have, in one version or another."""

from collections.abc import Mapping
from functools import cache

import msgspec

from dynocheck.data import read_table


@cache
def list_trtllm_keys() -> Mapping[str, tuple[str, ...]]:
    """The known keys of each mapping, whose name is dotted, as in `scheduler_config.dynamic_batch_config`.

    The keys of the top level have an empty name. A mapping that is not listed may have any key.
    """
    return msgspec.json.decode(read_table("trtllm_keys.json"), type=dict[str, tuple[str, ...]])
