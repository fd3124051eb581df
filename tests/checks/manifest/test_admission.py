"""What Dynamo's webhook refuses, each on a graph with one mistake."""

from pathlib import Path

import pytest

from dynocheck.checks.manifest import admission
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    deploy,
    get_skip_reason,
    outcomes,
    recipes,
    run_check,
    worker,
)
from tests.checks.manifests import claim

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


RACK = "topologyConstraint: {packDomain: rack}"
CONFIG = ", eppConfig: {configMapRef: {name: c, key: k}}"


@pytest.mark.parametrize(
    "text",
    [
        GRAPH.replace("components:", "components: []"),
        newer(image=""),
        GRAPH + FRONTEND,
        GRAPH + "  - {name: w, type: worker}\n",
        older().replace("mainContainer", "nodeSelector"),
        newer(", sharedMemorySize: -1Gi"),
        newer(", frontendSidecar: front"),
        older(", volumeMounts: [{name: cache}]"),
        older(", ingress: {enabled: true}"),
        older(", resources: {limits: {gpu: '0.5'}}"),
        older(", frontendSidecar: {image: i}", ", containers: [{name: sidecar-frontend, image: i}]"),
        older(", annotations: {nvidia.com/vllm-distributed-executor-backend: dask}"),
        newer(head=", annotations: {nvidia.com/dynamo-kube-discovery-mode: node}"),
        newer(head=", annotations: {nvidia.com/grove-update-strategy: Rolling}"),
        newer(f", {RACK}"),
        newer(spec="topologyConstraint: {clusterTopologyName: t}"),
        picker(f"{CONFIG}, replicas: 2"),
        picker(f"{CONFIG}, multinode: {{}}"),
        picker(),
    ],
)
def test_what_the_webhook_refuses(tmp_path: Path, text: str) -> None:
    (finding,) = run_check(admission.admission, recipes(tmp_path, deploy=text))
    assert (finding.outcome, bool(finding.fix)) == ("fail", True)
    assert finding.location is not None
    assert finding.location.line is not None


@pytest.mark.parametrize(
    "text",
    [
        newer(),
        older(),
        GRAPH + worker(),
        newer(", frontendSidecar: front", sides=", {name: front, image: i}"),
        newer(", sharedMemorySize: 0"),
        older(", volumeMounts: [{name: cache, useAsCompilationCache: true}]"),
        older(", ingress: {enabled: false}"),
        older(", resources: {limits: {gpu: '2', cpu: '0.5'}}"),
        older(", annotations: {nvidia.com/vllm-distributed-executor-backend: RAY}"),
        newer(head=", annotations: {example.com/note: node}"),
        newer(f", {RACK}", spec="topologyConstraint: {clusterTopologyName: t}"),
        picker(CONFIG),
        picker(f"{CONFIG}, replicas: 1"),
        picker(tag="1.5.0"),
        picker(tag="${TAG}"),  # known once the template is filled in
        picker(", runtimeVersionOverride: 1.5.0", tag="mine"),
    ],
)
def test_what_the_webhook_takes(tmp_path: Path, text: str) -> None:
    assert outcomes(admission.admission, recipes(tmp_path, deploy=text)) == []


def test_without_a_graph_there_is_nothing_to_judge(tmp_path: Path) -> None:
    given = deploy(tmp_path, claim())
    assert get_skip_reason(admission.admission, given) == "no DynamoGraphDeployment or request for one"


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
def test_the_tag_names_a_release(tmp_path: Path, tag: str, fields: str, expected: list[str]) -> None:
    image = f"registry.example/runtime{tag}"
    for text in (newer(fields, image=image), older(fields).replace(IMAGE, f"'{image}'")):
        assert outcomes(admission.admission, recipes(tmp_path, a=text)) == expected


RUNTIME = "initContainers: [{name: runtime, image: 'registry.example/runtime:1.6.1'}], containers:"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (newer(image="vllm/vllm-openai:nightly").replace("containers:", RUNTIME), []),  # it names the release
        (older(", resources: {limits: {gpu: 1-2}}"), ["fail"]),
        (older(", resources: {limits: {gpu: '1', custom: {rdma/ib: '1'}}, requests: {cpu: 2-4}}"), ["warn"]),
        (older().replace("componentType: worker", "componentType: engine"), ["warn"]),  # an unknown type
    ],
)
def test_other_components(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert outcomes(admission.admission, recipes(tmp_path, a=text)) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("0.6.1.post1", ["warn"]),
        ("1.3.0.post2", ["warn"]),
        ("1.5.0.post1", ["fail"]),
        ("mine", ["fail"]),
        ("1.3.O", ["fail"]),
    ],
)
def test_older_operators_take_any_tag(tmp_path: Path, tag: str, expected: list[str]) -> None:
    image = f"registry.example/runtime:{tag}"
    assert outcomes(admission.admission, recipes(tmp_path, one=newer(image=image))) == expected


REQUEST = """
apiVersion: nvidia.com/VERSION
kind: DynamoGraphDeploymentRequest
metadata: {name: r}
spec: {model: a/b, FIELDS}
"""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("image: r.example/planner:1.4.0", []),
        ("image: r.example/planner:mine", ["fail"]),
        ("image: r.example/planner:mine, runtimeVersionOverride: 1.4.0", []),
        ("searchStrategy: thorough, backend: vllm", []),
        ("searchStrategy: thorough, backend: auto", ["fail"]),
        ("searchStrategy: thorough", ["fail"]),  # the default is auto
        ("searchStrategy: rapid", []),
    ],
)
def test_a_request_for_a_graph(tmp_path: Path, fields: str, expected: list[str]) -> None:
    text = REQUEST.replace("FIELDS", fields)
    assert (
        outcomes(admission.admission, recipes(tmp_path, one=text.replace("VERSION", "v1beta1"))) == expected
    )
    older_text = text.replace("VERSION", "v1alpha1")
    assert outcomes(admission.admission, recipes(tmp_path, one=older_text)) == []
