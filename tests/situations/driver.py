"""Situations of the driver check."""

from __future__ import annotations

from tests.controlplane.server import ControlPlane
from tests.situations import Situation
from tests.situations.gpu import everywhere

RECIPE = "recipes/qwen3-32b/vllm/agg-round-robin"


def old_driver(cluster: ControlPlane) -> None:
    everywhere(cuda__driver_version__full="575.57.08")(cluster)


def older_driver(cluster: ControlPlane) -> None:
    everywhere(cuda__driver_version__full="545.23.08")(cluster)


SITUATIONS = [
    Situation(
        "an old driver", old_driver, {"driver.cuda-matrix": "warn"}, "gpu-1", "runs Dynamo up to 1.2.1"
    ),
    Situation(
        "a driver that forward compatibility covers",
        old_driver,
        {"driver.cuda-matrix": "warn"},
        "gpu-1",
        "forward compatibility",
        RECIPE,
    ),
    Situation(
        "a driver that nothing covers",
        older_driver,
        {"driver.cuda-matrix": "fail"},
        "gpu-3",
        "older than 580, which vllm-runtime:1.3.0 needs",
        RECIPE,
    ),
]
