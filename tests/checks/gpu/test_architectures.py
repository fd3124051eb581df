from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.gpu import architectures
from dynocheck.facts import Nodes
from tests.checks.gpu import GB200, H100, NO_SLICES, gpu_node, recipe_of
from tests.checks.judging import get_skip_reason, outcomes, places

ARM = gpu_node(GB200, architecture="arm64", labels={"kubernetes.io/arch": "arm64"})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", []),
        ("vllm-runtime:1.1.1-efa-amd64", ["warn"]),
        ("registry.example/own:1-arm64", ["warn"]),
        ("dynamo-frontend:1.3.0", []),
        ("vllm-runtime:0.7.1", ["warn"]),
    ],
)
def test_images_on_arm_nodes(tmp_path: Path, image: str, expected: list[str]) -> None:
    recipe = recipe_of(tmp_path, image=image)
    assert outcomes(architectures.image_arch, Nodes((ARM,)), NO_SLICES, recipe) == expected


def test_the_gpu_product_gives_the_architecture_where_the_node_does_not(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, image="registry.example/own:1")
    silent = Nodes((gpu_node(GB200, architecture=""),))
    assert outcomes(architectures.image_arch, silent, NO_SLICES, recipe) == ["warn"]
    amd64 = Nodes((gpu_node(H100),))
    assert "amd64" in get_skip_reason(architectures.image_arch, amd64, NO_SLICES, recipe)


def test_images_of_workers_without_a_node_are_not_judged(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, pod={"nodeSelector": {"pool": "none"}})
    assert "no worker" in get_skip_reason(architectures.image_arch, Nodes((ARM,)), NO_SLICES, recipe)


def test_a_selected_architecture_must_exist(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, pod={"nodeSelector": {"kubernetes.io/arch": "arm64"}})
    amd64 = Nodes((gpu_node(H100),))
    assert places(architectures.image_arch, amd64, NO_SLICES, recipe) == [("fail", "deploy.yaml:9")]
    assert outcomes(architectures.image_arch, Nodes((gpu_node(H100), ARM)), NO_SLICES, recipe) == []
