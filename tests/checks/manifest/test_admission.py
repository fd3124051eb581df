"""What Dynamo's webhook refuses, each on a graph with one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.manifest import admission
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

IMAGE = "registry.example/frontend:1.3.0"
OLDER = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec: {services: {W: {componentType: worker, extraPodSpec: {mainContainer: {image: IMAGE}SIDES}FIELDS}}}
"""


def newer(fields: str = "", *, head: str = "", image: str = IMAGE, sides: str = "", spec: str = "") -> str:
    text = GRAPH.replace("metadata: {name: g}", f"metadata: {{name: g{head}}}").replace(
        "spec:\n", f"spec:\n  {spec}\n"
    )
    pod = f"podTemplate: {{spec: {{containers: [{{name: main, image: '{image}'}}{sides}]}}}}"
    return f"{text}  - {{name: w, {pod}{fields}}}\n"


def older(fields: str = "", sides: str = "") -> str:
    return OLDER.replace("IMAGE", IMAGE).replace("FIELDS", fields).replace("SIDES", sides)


def picker(fields: str = "", tag: str = "1.3.0") -> str:
    return newer(f", type: epp{fields}", image=f"registry.example/frontend:{tag}")


CONFIG = ", eppConfig: {configMapRef: {name: c, key: k}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GRAPH.replace("components:", "components: []"), "the graph has no components"),
        (newer(image=""), "w has no image for its main container"),
        (GRAPH + "  - {name: w, type: worker}\n", "w has no image for its main container"),
        (older().replace("mainContainer", "nodeSelector"), "W has no image for its main container"),
        (newer(", sharedMemorySize: -1Gi"), "w: sharedMemorySize is negative"),
        (
            newer(", frontendSidecar: front"),
            "w: frontendSidecar is front, but no container has that name",
        ),
        (older(", volumeMounts: [{name: cache}]"), "W: a volumeMount without mountPoint"),
        (older(", ingress: {enabled: true}"), "W: an ingress without host"),
        (
            older(", frontendSidecar: {image: i}", ", containers: [{name: sidecar-frontend, image: i}]"),
            "W: a container has the name of the frontendSidecar, sidecar-frontend",
        ),
        (
            older(", annotations: {nvidia.com/vllm-distributed-executor-backend: dask}"),
            "nvidia.com/vllm-distributed-executor-backend must be mp or ray",
        ),
        (
            newer(head=", annotations: {nvidia.com/dynamo-kube-discovery-mode: node}"),
            "nvidia.com/dynamo-kube-discovery-mode must be pod or container",
        ),
        (
            newer(head=", annotations: {nvidia.com/grove-update-strategy: Rolling}"),
            "nvidia.com/grove-update-strategy must be RollingRecreate or OnDelete",
        ),
        (
            newer(", topologyConstraint: {packDomain: rack}"),
            "a component has a topologyConstraint, the graph has none",
        ),
        (
            newer(spec="topologyConstraint: {clusterTopologyName: t}"),
            "neither the graph nor a component has a packDomain",
        ),
        (picker(f"{CONFIG}, replicas: 2"), "w: an endpoint picker has exactly 1 replica"),
        (picker(f"{CONFIG}, multinode: {{}}"), "w: an endpoint picker cannot span nodes"),
        (picker(), "w: an endpoint picker needs eppConfig"),
    ],
)
def test_what_the_webhook_refuses(tmp_path: Path, text: str, message: str) -> None:
    (finding,) = run_check(admission.admission, recipes(tmp_path, deploy=text))
    assert (str(finding.outcome), finding.message) == ("fail", message)
    assert finding.fix
    assert finding.location is not None
    assert finding.location.line is not None


@pytest.mark.parametrize(
    "text",
    [
        newer(),
        older(),
        newer(", frontendSidecar: front", sides=", {name: front, image: i}"),
        newer(", sharedMemorySize: 0"),
        older(", volumeMounts: [{name: cache, useAsCompilationCache: true}]"),
        older(", ingress: {enabled: false}"),
        older(", annotations: {nvidia.com/vllm-distributed-executor-backend: RAY}"),
        newer(head=", annotations: {example.com/note: node}"),
        newer(
            ", topologyConstraint: {packDomain: rack}", spec="topologyConstraint: {clusterTopologyName: t}"
        ),
        picker(CONFIG),
        picker(f"{CONFIG}, replicas: 1"),
        picker(tag="1.5.0"),
        picker(", runtimeVersionOverride: 1.5.0", tag="mine"),
    ],
)
def test_what_the_webhook_takes(tmp_path: Path, text: str) -> None:
    assert list_messages(admission.admission, recipes(tmp_path, deploy=text)) == []


def test_without_a_graph_there_is_nothing_to_judge(tmp_path: Path) -> None:
    claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a}\n"
    assert get_skip_reason(admission.admission, recipes(tmp_path, claim=claim)) == "no DynamoGraphDeployment"
    assert list_messages(admission.admission, recipes(tmp_path, deploy=GRAPH + worker())) == []
    assert [m for _, m in list_messages(admission.admission, recipes(tmp_path, deploy=GRAPH + FRONTEND))] == [
        "Frontend has no image for its main container"
    ]


@pytest.mark.parametrize(
    ("tag", "fields", "expected"),
    [
        (":latest", "", ["fail"]),
        (":my-build", "", ["fail"]),
        ("", "", ["fail"]),
        ("@sha256:" + "0" * 64, "", ["fail"]),
        (":my-build", ", runtimeVersionOverride: 1.6.1", []),
        (":v1.6.1", "", []),
        (":1.4.0-kimi-k3-dev.1", "", []),
        (":1.6.1@sha256:" + "0" * 64, "", []),
        (":${TAG}", "", []),  # known once the template is filled in
    ],
)
def test_the_tag_of_a_component_names_a_release(
    tmp_path: Path, tag: str, fields: str, expected: list[str]
) -> None:
    image = f"registry.example/runtime{tag}"
    assert outcomes(admission.admission, recipes(tmp_path, a=newer(fields, image=image))) == expected
    alpha = older(fields).replace(IMAGE, f"'{image}'")
    assert outcomes(admission.admission, recipes(tmp_path, a=alpha)) == expected


def test_the_runtime_of_an_engine_image_names_the_release(tmp_path: Path) -> None:
    text = newer(image="vllm/vllm-openai:nightly").replace(
        "containers:",
        "initContainers: [{name: runtime, image: 'registry.example/runtime:1.6.1'}], containers:",
    )
    assert outcomes(admission.admission, recipes(tmp_path, a=text)) == []


def test_a_type_that_the_operator_does_not_know(tmp_path: Path) -> None:
    given = recipes(tmp_path, a=older().replace("componentType: worker", "componentType: engine"))
    assert outcomes(admission.admission, given) == ["warn"]
