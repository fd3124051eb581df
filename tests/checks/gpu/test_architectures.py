from pathlib import Path

import pytest

from dynocheck.checks.gpu.architectures import image_arch
from dynocheck.facts import Node, Nodes
from tests.checks.gpu import GB200, H100, NO_SLICES, gpu_node, recipe_of
from tests.checks.judging import get_skip_reason, judge, outcomes, places

AMD = gpu_node(H100)
ARM = gpu_node(GB200, architecture="arm64", labels={"kubernetes.io/arch": "arm64"})
SILENT = gpu_node(GB200, architecture="")  # whose product gives the architecture


@pytest.mark.parametrize(
    ("image", "node", "expected"),
    [
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", ARM, []),
        ("vllm-runtime:1.1.1-efa-amd64", ARM, ["unjudged"]),
        ("registry.example/own:1-arm64", ARM, ["unjudged"]),
        ("dynamo-frontend:1.3.0", ARM, []),
        ("vllm-runtime:0.7.1", ARM, ["unjudged"]),
        ("vllm-runtime:1.5.0-dev.1", ARM, []),
        ("vllm-runtime:my-build", ARM, ["unjudged"]),
        ("registry.example/own:1", SILENT, ["unjudged"]),
    ],
)
def test_images_on_arm_nodes(tmp_path: Path, image: str, node: Node, expected: list[str]) -> None:
    assert judge(image_arch, Nodes((node,)), NO_SLICES, recipe_of(tmp_path, image=image)) == expected


def test_images_that_are_not_judged(tmp_path: Path) -> None:
    own = recipe_of(tmp_path / "a", image="registry.example/own:1")
    assert "amd64" in get_skip_reason(image_arch, Nodes((AMD,)), NO_SLICES, own)
    nowhere = recipe_of(tmp_path / "b", pod={"nodeSelector": {"pool": "none"}})
    assert "no worker" in get_skip_reason(image_arch, Nodes((ARM,)), NO_SLICES, nowhere)


def test_a_selected_architecture_must_exist(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, pod={"nodeSelector": {"kubernetes.io/arch": "arm64"}})
    assert places(image_arch, Nodes((AMD,)), NO_SLICES, recipe) == [("fail", "deploy.yaml:9")]
    assert outcomes(image_arch, Nodes((AMD, ARM)), NO_SLICES, recipe) == []
