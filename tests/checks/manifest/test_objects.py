"""Versions, names and namespaces, each on files that hold one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.manifest import objects, versions
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\n"
JOB = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: model-download}\n"
OLDER = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  pvcs: [{name: model-cache}]
  services:
    W: {componentType: worker, sharedMemory: {size: 1Gi}, resources: {limits: {gpu: "1"}}}
"""


# manifest.api-version


def test_what_is_deprecated_is_told_with_what_it_becomes(tmp_path: Path) -> None:
    (finding,) = run_check(versions.api_version, recipes(tmp_path, deploy=OLDER))
    assert str(finding.outcome) == "warn"
    assert finding.message == "DynamoGraphDeployment g: nvidia.com/v1alpha1 is deprecated"
    assert finding.evidence["changes"] == {
        "spec.services": "components, a list whose items have a name",
        "spec.pvcs": "volumes with a persistentVolumeClaim in podTemplate.spec",
        "service.componentType": "type",
        "service.resources": "resources of the container main, gpu as nvidia.com/gpu, custom ones beside it",
        "service.sharedMemory": "sharedMemorySize",
    }
    assert finding.location is not None
    assert finding.location.line == 2


@pytest.mark.parametrize(
    ("version", "kind", "fix"),
    [
        ("dynamo.nvidia.com/v1alpha1", "DynamoGraphDeployment", "nvidia.com/v1beta1"),
        ("nvidia.com/v1", "DynamoGraphDeployment", "nvidia.com/v1beta1"),
        ("nvidia.com/v1beta1", "DynamoModel", "nvidia.com/v1alpha1"),
        ("v1", "Job", "batch/v1"),
        ("batch/v1beta1", "CronJob", "batch/v1"),
        ("extensions/v1beta1", "Deployment", "apps/v1"),
        ("apps/v1", "Service", "v1"),
    ],
)
def test_a_version_that_there_is_not(tmp_path: Path, version: str, kind: str, fix: str) -> None:
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"
    (finding,) = run_check(versions.api_version, recipes(tmp_path, deploy=text))
    assert str(finding.outcome) == "fail"
    assert finding.message == f"{version} has no {kind}"
    assert finding.fix == f"apiVersion: {fix}"


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("v1", "ConfigMap"),
        ("nvidia.com/v1beta1", "DynamoGraphDeployment"),
        ("nvidia.com/v1alpha1", "DynamoModel"),
        ("serving.knative.dev/v1", "Service"),
        ("batch.volcano.sh/v1alpha1", "Job"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("resource.nvidia.com/v1beta1", "ComputeDomain"),
        ("example.com/v1", "Widget"),
    ],
)
def test_a_version_that_there_is_or_may_be(tmp_path: Path, version: str, kind: str) -> None:
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"
    assert list_messages(versions.api_version, recipes(tmp_path, deploy=text)) == []


# manifest.names


def graph(name: str, component: str, nodes: int = 1) -> str:
    more = f"multinode: {{nodeCount: {nodes}}}" if nodes > 1 else ""
    return GRAPH.replace("name: g", f"name: {name}") + worker(component, more=more)


def test_names_have_room(tmp_path: Path) -> None:
    for number, text in enumerate(
        (graph("llama-3-70b-disagg", "VllmDecodeWorker"), graph("g" * 44, "w", 2), graph("g" * 40, "w" * 20))
    ):
        assert list_messages(objects.names, recipes(tmp_path / str(number), deploy=text)) == []


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        (
            graph("trtllm-disagg", "TRTLLMDecodeWorker", 2),
            "TRTLLMDecodeWorker: its name and the graph's have 48 characters in a Grove pod's name; "
            "at most 45 are allowed",
            "give the component a name of at most 16 characters",
        ),
        (
            graph("longer-than-eight", "w" * 40),
            f"{'w' * 40}: its name and the graph's have 48 characters in a Grove pod's name; "
            "at most 45 are allowed",
            "give the component a name of at most 37 characters",
        ),
        (
            graph("g" * 60, "worker"),
            f"worker: its Service {'g' * 60}-worker has a name of 67 characters; at most 63 are allowed",
            "shorten the name of the graph or of the component",
        ),
        (
            graph("llama-3.1", "worker"),
            "llama-3.1 has a dot, which the name of its Service must not have",
            "call it llama-3-1",
        ),
    ],
)
def test_names_without_room(tmp_path: Path, text: str, message: str, fix: str) -> None:
    (finding,) = run_check(objects.names, recipes(tmp_path, deploy=text))
    assert (str(finding.outcome), finding.message, finding.fix) == ("warn", message, fix)


# manifest.namespaces


def at(text: str, namespace: str) -> str:
    return text.replace("metadata: {", f"metadata: {{namespace: {namespace}, ")


def test_all_in_one_namespace_or_in_none(tmp_path: Path) -> None:
    deploy = GRAPH + FRONTEND
    plain = recipes(tmp_path / "a", model_cache__claim=CLAIM, vllm__agg__deploy=deploy)
    assert list_messages(objects.namespaces, plain) == []
    named = recipes(tmp_path / "b", model_cache__claim=at(CLAIM, "llm"), vllm__agg__deploy=at(deploy, "llm"))
    assert list_messages(objects.namespaces, named) == []


def test_variants_may_go_to_different_namespaces(tmp_path: Path) -> None:
    deploy = GRAPH + FRONTEND
    given = recipes(tmp_path, vllm__agg__deploy=at(deploy, "a"), vllm__disagg__deploy=at(deploy, "b"))
    assert list_messages(objects.namespaces, given) == []


def test_a_claim_that_the_pods_do_not_find(tmp_path: Path) -> None:
    deploy = at(GRAPH + FRONTEND, "llm")
    half = recipes(tmp_path / "a", model_cache__claim=CLAIM, vllm__agg__deploy=deploy)
    assert list_messages(objects.namespaces, half) == [
        (
            "warn",
            "DynamoGraphDeployment g has namespace llm, PersistentVolumeClaim model-cache has none",
        )
    ]
    apart = recipes(tmp_path / "b", model_cache__claim=at(CLAIM, "store"), vllm__agg__deploy=deploy)
    assert list_messages(objects.namespaces, apart) == [
        ("warn", "DynamoGraphDeployment g is in namespace llm, PersistentVolumeClaim model-cache in store")
    ]


CONFIG = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: engine}\ndata: {a: b}\n"
MOUNTS = (
    GRAPH
    + """  - name: w
    podTemplate:
      spec:
        containers: [{name: main, volumeMounts: [{name: c, mountPath: /c}]}]
        volumes: [{name: c, configMap: {name: engine}}]
"""
)


def test_a_config_map_that_the_pods_do_not_find(tmp_path: Path) -> None:
    given = recipes(tmp_path, vllm__agg__deploy=MOUNTS + at(CONFIG, "llm"))
    (finding,) = run_check(objects.namespaces, given)
    message = "ConfigMap engine has namespace llm, DynamoGraphDeployment g has none"
    assert finding.message == message
    assert finding.location is not None
    assert finding.location.line == 15


@pytest.mark.parametrize(
    "text",
    [
        at(MOUNTS, "llm") + at(CONFIG, "llm"),
        MOUNTS + CONFIG,
        MOUNTS + CONFIG + at(CONFIG.replace("engine", "dashboard"), "monitoring"),
        MOUNTS + "---\n" + at(JOB.replace("Job", "PodMonitor").replace("batch", "monitoring"), "monitoring"),
    ],
)
def test_what_the_pods_find_or_do_not_need(tmp_path: Path, text: str) -> None:
    assert list_messages(objects.namespaces, recipes(tmp_path, vllm__agg__deploy=text)) == []


def test_what_stands_in_no_namespace_does_not_count(tmp_path: Path) -> None:
    storage = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: a}\nprovisioner: a.b/c\n"
    assert "no namespaced object" in get_skip_reason(
        objects.namespaces, recipes(tmp_path / "a", storage=storage)
    )
    given = recipes(tmp_path / "b", storage=storage, deploy=at(GRAPH + FRONTEND, "llm"))
    assert list_messages(objects.namespaces, given) == []


# manifest.duplicates


def test_two_objects_of_one_file_are_the_same(tmp_path: Path) -> None:
    (finding,) = run_check(objects.duplicates, recipes(tmp_path, cache=f"{CLAIM}---\n{CLAIM}"))
    assert (str(finding.outcome), finding.message) == (
        "fail",
        "PersistentVolumeClaim model-cache is defined here and at line 3",
    )
    assert finding.location is not None
    assert finding.location.line == 7


def test_two_files_of_one_folder_bring_the_same(tmp_path: Path) -> None:
    given = recipes(tmp_path, model_cache__a=CLAIM, model_cache__b=CLAIM)
    assert list_messages(objects.duplicates, given) == [
        ("warn", "PersistentVolumeClaim model-cache is defined here and at a.yaml:3")
    ]


def test_what_is_applied_one_at_a_time_may_share_names(tmp_path: Path) -> None:
    deploy = GRAPH + FRONTEND
    for number, files in enumerate(
        (
            {"vllm__agg__deploy": deploy, "vllm__disagg__deploy": deploy},
            {"vllm__deploy_aks": deploy, "vllm__deploy_gke": deploy},
            {"vllm__a": f"{deploy}---\n{CLAIM}", "vllm__b": f"{deploy}---\n{CLAIM}"},
            {"model_cache__model_download": JOB, "model_cache__model_download_fp4": JOB},
            {"a": CLAIM, "b": at(CLAIM, "other")},
            {"a": CLAIM, "b": CLAIM.replace("PersistentVolumeClaim", "ConfigMap")},
        )
    ):
        assert list_messages(objects.duplicates, recipes(tmp_path / str(number), **files)) == [], files
