"""What was left to be filled in, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.manifest import placeholders
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

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
    ("text", "outcome", "message"),
    [
        (image("<your-registry>/vllm:1.3.0"), "fail", "image: <your-registry> is not replaced"),
        (image("nvcr.io/x/vllm-runtime:<IMAGE_TAG>"), "fail", "image: <IMAGE_TAG> is not replaced"),
        (image("nvcr.io/x/vllm-runtime-xpu:my-tag"), "fail", "image: my-tag is not replaced"),
        (image("your-registry/vllm:1.3.0"), "fail", "image: your-registry is not replaced"),
        (image("{{ .Values.image }}"), "fail", "image: nothing replaces {{ .Values.image }}"),
        (image("${VLLM_IMAGE}"), "fail", "image: nothing replaces ${VLLM_IMAGE}"),
        (claim("your-storage-class"), "fail", "storageClassName: your-storage-class is not replaced"),
        (claim("<class>"), "fail", "storageClassName: <class> is not replaced"),
        (claim("${CLASS}"), "fail", "storageClassName: nothing replaces ${CLASS}"),
        (variable("${GPUS}"), "warn", "SIZE: nothing replaces ${GPUS}"),
        (variable("changeme"), "warn", "SIZE: changeme is not replaced"),
        (
            GRAPH + worker(args='--served-model-name, "<model>"'),
            "fail",
            "args: <model> is not replaced",
        ),
        (
            GRAPH + worker().replace("      spec:\n", "      spec:\n        nodeSelector: {pool: todo}\n"),
            "fail",
            "pool: todo is not replaced",
        ),
    ],
)
def test_what_was_left(tmp_path: Path, text: str, outcome: str, message: str) -> None:
    (finding,) = run_check(placeholders.placeholders, recipes(tmp_path, deploy=text))
    assert (str(finding.outcome), finding.message) == (outcome, message)
    assert finding.location is not None
    assert finding.location.line is not None


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
    assert list_messages(placeholders.placeholders, recipes(tmp_path, deploy=text)) == []


def test_a_readme_may_say_what_replaces_variables(tmp_path: Path) -> None:
    recipes(tmp_path, vllm__agg__deploy=image("${VLLM_IMAGE}"))
    (tmp_path / "README.md").write_text(
        "```bash\nenvsubst < vllm/agg/deploy.yaml | kubectl apply -f -\n```\n"
    )
    assert list_messages(placeholders.placeholders, Recipes(load_recipes([str(tmp_path)]))) == []


def test_a_file_of_another_tool_is_none_of_kubectls(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=image(IMAGE), values="nameTemplate: deploy-${variant}\n")
    assert list_messages(placeholders.placeholders, given) == []


def test_what_kustomize_renders_is_not_judged(tmp_path: Path) -> None:
    given = recipes(tmp_path, kustomize__deploy=image("<image>"))
    assert "no manifest" in get_skip_reason(placeholders.placeholders, given)
