"""What was left to be filled in, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.manifest import placeholders
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import GRAPH, get_skip_reason, outcomes, read_lines, recipes, worker

IMAGE = "registry.example/vllm-runtime:1.3.0"


def claim(name: str) -> str:
    return (
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\n"
        f"spec: {{storageClassName: '{name}'}}\n"
    )


def image(text: str) -> str:
    return GRAPH + worker().replace(IMAGE, f"'{text}'")


def variable(text: str, name: str = "SIZE") -> str:
    return GRAPH + worker().replace(
        "resources:", f"env: [{{name: {name}, value: '{text}'}}]\n          resources:"
    )


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (image("<your-registry>/vllm:1.3.0"), "fail"),
        (image("nvcr.io/x/vllm-runtime:<IMAGE_TAG>"), "fail"),
        (image("nvcr.io/x/vllm-runtime-xpu:my-tag"), "fail"),
        (image("your-registry/vllm:1.3.0"), "fail"),
        (image("{{ .Values.image }}"), "fail"),
        (image("${VLLM_IMAGE}"), "fail"),
        (claim("your-storage-class"), "fail"),
        (claim("<class>"), "fail"),
        (claim("${CLASS}"), "fail"),
        (variable("${GPUS}"), "warn"),
        (variable("changeme"), "warn"),
        (GRAPH + worker(args='--served-model-name, "<model>"'), "fail"),
        (
            GRAPH + worker().replace("      spec:\n", "      spec:\n        nodeSelector: {pool: todo}\n"),
            "fail",
        ),
    ],
)
def test_what_was_left(tmp_path: Path, text: str, outcome: str) -> None:
    given = recipes(tmp_path, deploy=text)
    assert outcomes(placeholders.placeholders, given) == [outcome]
    assert read_lines(placeholders.placeholders, given)[0]


@pytest.mark.parametrize(
    "text",
    [
        image(IMAGE),
        image("registry.example/your/vllm:1.3.0"),
        image("registry.example/myself/my-tagger:1.3.0"),
        claim("fast"),
        claim(""),
        variable("$(HOSTNAME)"),
        variable("a < b > c"),
        variable("<|im_start|>"),
        GRAPH.replace("name: g", "name: my-graph") + worker(),
        GRAPH + "# image: <your-registry>/x\n" + worker(),
        GRAPH + worker(args='"${MODEL_PATH}"'),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
        "data: {engine.yaml: '<x>', run.sh: 'a ${B}'}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {note: todo}}\n"
        "spec: {containers: [{name: c, image: i:1.0.0, command: [sh, -c, 'cat <file> ${A}']}]}\n",
    ],
)
def test_what_only_looks_like_it(tmp_path: Path, text: str) -> None:
    assert outcomes(placeholders.placeholders, recipes(tmp_path, deploy=text)) == []


def test_a_readme_may_say_what_replaces_variables(tmp_path: Path) -> None:
    recipes(tmp_path, vllm__agg__deploy=image("${VLLM_IMAGE}"))
    (tmp_path / "README.md").write_text(
        "```bash\nenvsubst < vllm/agg/deploy.yaml | kubectl apply -f -\n```\n"
    )
    assert outcomes(placeholders.placeholders, Recipes(load_recipes([str(tmp_path)]))) == []


def test_a_file_of_another_tool_is_none_of_kubectls(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=image(IMAGE), values="nameTemplate: deploy-${variant}\n")
    assert outcomes(placeholders.placeholders, given) == []


def test_what_kustomize_renders_is_not_judged(tmp_path: Path) -> None:
    given = recipes(tmp_path, kustomize__deploy=image("<image>"))
    assert "no manifest" in get_skip_reason(placeholders.placeholders, given)
