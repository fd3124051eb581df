"""How a recipe's folder is laid out, each with one mistake, and the layouts that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.manifest import schema
from dynocheck.checks.structure import layout
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_skip_reason,
    list_messages,
    outcomes,
    recipes,
    run_check,
    worker,
)

DEPLOY = GRAPH + FRONTEND + worker()
CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\n"
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {containers: [{name: c, image: i, command: [hf, download, Qwen/Qwen3-0.6B]}]}}}
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"
CACHE = {"model_cache__model_cache": CLAIM, "model_cache__model_download": JOB}


@pytest.mark.parametrize(
    "files",
    [
        {"vllm__agg__deploy": DEPLOY},
        {"vllm__agg__deploy": DEPLOY, "vllm__agg__perf": JOB},
        {"vllm__agg__deploy": DEPLOY, "perf__perf": JOB},
        {"vllm__agg__deploy": DEPLOY, "perf": JOB},
        {"vllm__agg__deploy_aks": DEPLOY, "vllm__agg__deploy_gke": DEPLOY},
        {"vllm__agg__deploy": DEPLOY, "vllm__agg__gaie__deploy": DEPLOY},
        {"vllm__disagg__wide_ep__gb200__deploy": DEPLOY},
        {"fp8__vllm__agg__deploy": DEPLOY, "bf16__vllm__agg__deploy": DEPLOY},
        {"deploy__agg": DEPLOY},
        {"vllm__agg__deploy": DEPLOY, "vllm__kustomize__base__deploy": "spec: {}\n"},
        {"vllm__agg__deploy": DEPLOY, "model_cache__model_download_nvfp4": JOB},
        {"vllm__agg__deploy": DEPLOY, "model_cache__cache": CLAIM},
    ],
)
def test_layouts_that_people_use(tmp_path: Path, files: dict[str, str]) -> None:
    given = recipes(tmp_path, **CACHE, **files)
    for check in (layout.layout, layout.files):
        assert list_messages(check, given) == [], check.id
    if any("vllm" in name for name in files):
        assert list_messages(layout.framework, given) == []


def test_an_underscore_in_a_name_is_as_good(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY)
    (tmp_path / "vllm" / "agg" / "deploy.yaml").rename(tmp_path / "vllm" / "agg" / "deploy_hopper_16gpu.yaml")
    assert list_messages(layout.files, Recipes(load_recipes([str(tmp_path)]))) == []


KUSTOMIZATION = "kind: Kustomization\nresources: [./deploy.yaml]\nnamePrefix: a-\n"
NOT_DEPLOYED = "the folder deploys nothing: no DynamoGraphDeployment in any of its files"


@pytest.mark.parametrize(
    ("files", "outcomes"),
    [
        ({"vllm__agg__perf": JOB, **CACHE}, [("fail", NOT_DEPLOYED)]),
        ({"deploy": DEPLOY}, []),
        ({"deploy": DEPLOY.replace("DynamoGraphDeployment", "DynamoComponentDeployment")}, []),
        (
            {"base__deploy": DEPLOY, "base__kustomization": KUSTOMIZATION},
            [
                (
                    "unknown",
                    "the output of kustomize was not judged, and nothing else in the folder is deployed",
                )
            ],
        ),
    ],
)
def test_a_folder_with_and_without_a_graph(
    tmp_path: Path, files: dict[str, str], outcomes: list[tuple[str, str]]
) -> None:
    given = recipes(tmp_path, **files)
    assert list_messages(layout.layout, given) == outcomes
    assert list_messages(layout.files, given) == []


def test_a_cache_or_a_load_test_alone_is_a_part_of_a_model(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE)
    recipes(tmp_path, perf__perf=JOB)
    for part in ("model-cache", "perf"):
        alone = Recipes(load_recipes([str(tmp_path / part)]))
        assert "no folder of a model" in get_skip_reason(layout.layout, alone)


def test_a_chart_is_not_what_is_applied(tmp_path: Path) -> None:
    recipes(
        tmp_path,
        chart__templates__graph="spec:\n{{- if .Values.x }}\n  a: b\n{{- end }}\n",
        chart__values="a: b",
    )
    (tmp_path / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: c\nversion: 1.0.0\n")
    alone = Recipes(load_recipes([str(tmp_path / "chart")]))
    says = "the output of Helm was not judged, and nothing else in the folder is deployed"
    assert list_messages(layout.layout, alone) == [("unknown", says)]
    for check in (layout.read_whole, layout.files, schema.yaml):
        assert list_messages(check, alone) == [], check.id
    assert "no manifest" in get_skip_reason(schema.schema, alone)
    beside = recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY)
    assert list_messages(layout.layout, beside) == []
    says = "not read: a Helm chart: only its rendered output is applied"
    assert list_messages(layout.read_whole, beside) == [("warn", says)]


@pytest.mark.parametrize(
    ("command", "messages"),
    [
        ("[aws, s3, sync, 's3://bucket/model', /models]", []),
        ("[git, clone, 'https://huggingface.co/org/model']", []),
        ("[sleep, '1']", ["no Job in model-cache/ downloads a model"]),
    ],
)
def test_a_cache_that_is_filled_from_elsewhere(tmp_path: Path, command: str, messages: list[str]) -> None:
    job = JOB.replace("[hf, download, Qwen/Qwen3-0.6B]", command)
    given = recipes(tmp_path, vllm__agg__deploy=DEPLOY, model_cache__cache=CLAIM, model_cache__fill=job)
    assert list_messages(layout.layout, given) == [("warn", message) for message in messages]


@pytest.mark.parametrize(
    ("folder", "messages"),
    [
        ("disagg", ["not read: graph g, which kustomize changes before it is applied"]),
        ("agg__kustomize__base", []),  # what it renders lies above it
    ],
)
def test_a_graph_that_kustomize_changes(tmp_path: Path, folder: str, messages: list[str]) -> None:
    base = {f"vllm__{folder}__deploy": DEPLOY, f"vllm__{folder}__kustomization": KUSTOMIZATION}
    given = recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY, **base)
    assert list_messages(layout.read_whole, given) == [("warn", message) for message in messages]


# structure.framework


@pytest.mark.parametrize(
    ("folder", "fix"),
    [("vlm", "vllm"), ("sg-lang", "sglang"), ("tensorrt-llm", "trtllm"), ("TRTLLM", "trtllm")],
)
def test_a_misspelt_framework(tmp_path: Path, folder: str, fix: str) -> None:
    recipes(tmp_path, **CACHE)
    (tmp_path / folder / "agg").mkdir(parents=True)
    (tmp_path / folder / "agg" / "deploy.yaml").write_text(DEPLOY)
    (finding,) = run_check(layout.framework, Recipes(load_recipes([str(tmp_path)])))
    assert (str(finding.outcome), finding.message) == ("warn", f"{folder} is not the name of a framework")
    assert finding.fix == f"call it {fix}"


def test_a_framework_with_more_in_its_name_is_not_misspelt(tmp_path: Path) -> None:
    given = recipes(tmp_path, vllm2__agg__deploy=DEPLOY, vllm__agg__deploy=DEPLOY)
    assert list_messages(layout.framework, given) == []


def test_a_graph_in_the_folder_of_another_framework(tmp_path: Path) -> None:
    given = recipes(tmp_path / "a", sglang__agg__deploy=DEPLOY)
    assert list_messages(layout.framework, given) == [("warn", "the graph in folder sglang runs vllm")]
    mocker = DEPLOY.replace("dynamo.vllm", "dynamo.mocker")
    assert list_messages(layout.framework, recipes(tmp_path / "b", sglang__agg__deploy=mocker)) == []


def test_a_layout_without_frameworks_is_not_judged(tmp_path: Path) -> None:
    assert "no graph in a folder" in get_skip_reason(layout.framework, recipes(tmp_path, deploy__agg=DEPLOY))


# structure.files


@pytest.mark.parametrize(
    ("name", "text", "outcome", "message"),
    [
        ("vllm/agg/deploy.yaml", JOB, "warn", "is named deploy but contains no graph"),
        ("vllm/agg/deploy-aks.yaml", CLAIM, "warn", "is named deploy-aks but contains no graph"),
        ("vllm/agg/perf.yaml", CLAIM, "warn", "is named perf but contains no load test"),
        (
            "model-cache/model-download.yaml",
            CLAIM,
            "warn",
            "is named model-download but contains no download Job",
        ),
        ("model-cache/model-cache.yaml", JOB, "warn", "is named model-cache but contains no claim"),
        ("vllm/agg/deploy.yaml", "", "fail", "is empty"),
        ("vllm/agg/deploy.yaml", "# to come\n", "warn", "is named deploy but contains no graph"),
        ("traces/chat.jsonl", "", "warn", "is empty"),
        (
            "traces/chat.jsonl",
            POINTER,
            "warn",
            "is a Git LFS pointer: its content was not fetched",
        ),
        (
            "vllm/agg/deploy.yaml",
            POINTER,
            "fail",
            "is a Git LFS pointer: its content was not fetched",
        ),
    ],
)
def test_a_file_without_what_it_is_there_for(
    tmp_path: Path, name: str, text: str, outcome: str, message: str
) -> None:
    recipes(tmp_path, **CACHE, sglang__agg__deploy=DEPLOY)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (finding,) = run_check(layout.files, Recipes(load_recipes([str(tmp_path)])))
    assert (str(finding.outcome), finding.message) == (outcome, message)
    assert finding.location is not None
    assert finding.location.file == str(path)


def test_a_link_to_nothing(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE, sglang__agg__deploy=DEPLOY)
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "chat.jsonl").symlink_to("../../other/chat.jsonl")
    (tmp_path / "traces" / "good.jsonl").symlink_to(tmp_path / "sglang" / "agg" / "deploy.yaml")
    assert list_messages(layout.files, Recipes(load_recipes([str(tmp_path)]))) == [
        ("warn", "is a broken symlink")
    ]


@pytest.mark.parametrize("name", ["data-gen/__init__.py", ".gitkeep", "data-gen/.gitignore"])
def test_files_that_are_meant_to_be_empty(tmp_path: Path, name: str) -> None:
    recipes(tmp_path, **CACHE, sglang__agg__deploy=DEPLOY)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert list_messages(layout.files, Recipes(load_recipes([str(tmp_path)]))) == []


def test_a_file_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    given = recipes(tmp_path, **CACHE, vllm__agg__deploy="a: [\n")
    assert list_messages(layout.files, given) == []


# structure.read-whole


def launching(script: str) -> str:
    """A graph whose worker runs this script."""
    command = f"        - {{name: main, image: x:1, command: [bash, -c, {script!r}]}}\n"
    return f"{GRAPH}  - name: w\n    podTemplate:\n      spec:\n        containers:\n{command}"


def test_what_people_write_is_read(tmp_path: Path) -> None:
    script = "x; " * 5_000 + "python3 -m dynamo.vllm & " * 100
    recipes(tmp_path, **CACHE, vllm__agg__deploy=launching(script))
    (tmp_path / "README.md").write_text("# dynocheck\n" * 1_000)
    assert list_messages(layout.read_whole, Recipes(load_recipes([str(tmp_path)]))) == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (launching("x" * 131_073), 11, "the end of a script with more than 131072 characters"),
        (
            launching("python3 -m dynamo.vllm & " * 101),
            11,
            "the programs of a container after the first 100",
        ),
        (
            "---".join([launching("x" * 100_000)] * 3),
            33,
            "commands of a container: this file has over 262144 characters of commands",
        ),
        (
            "# dynocheck: ignore[a] r\n" * 1_001 + CLAIM,
            1_001,
            "comments for dynocheck: those of this file name more than 1000 checks",
        ),
    ],
)
def test_what_is_too_much_to_be_read(tmp_path: Path, text: str, line: int, message: str) -> None:
    (finding,) = run_check(layout.read_whole, recipes(tmp_path, **CACHE, vllm__agg__deploy=text))
    assert (str(finding.outcome), finding.message) == ("warn", f"not read: {message}")
    assert finding.location is not None
    assert finding.location.line == line


def test_a_page_that_is_too_long(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY)
    (tmp_path / "README.md").write_text("dynocheck: [" * 10_000)
    assert list_messages(layout.read_whole, Recipes(load_recipes([str(tmp_path)]))) == [
        ("warn", "not read: a page with more than 65536 characters")
    ]


def test_a_model_folder_has_a_cache(tmp_path: Path) -> None:
    variant = {"vllm__agg__deploy": DEPLOY}
    (missing,) = run_check(layout.layout, recipes(tmp_path / "a", **variant))
    (empty,) = run_check(layout.layout, recipes(tmp_path / "b", **variant, model_cache__download=JOB))
    assert [finding.outcome for finding in (missing, empty)] == ["warn", "warn"]
    assert [finding.location and finding.location.file for finding in (missing, empty)] == [
        str(tmp_path / "a"),
        str(tmp_path / "b" / "model-cache"),
    ]


def test_a_broken_file_may_be_the_graph(tmp_path: Path) -> None:
    assert outcomes(layout.layout, recipes(tmp_path / "a", job=JOB)) == ["skip"]
    assert outcomes(layout.layout, recipes(tmp_path / "b", deploy="a: [", job=JOB)) == ["skip"]
