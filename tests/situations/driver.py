"""Situations of the driver check."""

from tests.situations import Situation, with_recipe
from tests.situations.gpu import everywhere

WARN = {"driver.cuda-matrix": "warn"}
OLD = everywhere(cuda__driver_version__full="575.57.08")
SITUATIONS = [
    Situation("an old driver", OLD, WARN, "gpu-1", "1.2.1"),
    *with_recipe(
        "recipes/qwen3-32b/vllm/agg-round-robin",
        Situation("a driver of forward compatibility", OLD, WARN, "gpu-1", "forward compatibility"),
        Situation(
            "a driver that nothing covers",
            everywhere(cuda__driver_version__full="545.23.08"),
            {"driver.cuda-matrix": "fail"},
            "gpu-3",
            "vllm-runtime:1.3.0",
        ),
    ),
]
