from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import recipe_claims
from tests.checks.judging import deploy, judge, recipes
from tests.checks.manifests import MODEL, claim, dump_objects, graph, job
from tests.checks.storage.manifests import download, loading
from tests.checks.test_servers import serve

NODE = "kubernetes.io/hostname"
NEAR = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": NODE, "labelSelector": {}}]}

# storage.access-mode


@pytest.mark.parametrize(
    ("modes", "worker", "expected"),
    [
        (("ReadWriteMany",), loading(replicas=4), []),
        (("ReadWriteOnce",), loading(), []),
        (("ReadWriteOnce",), loading(replicas=4), ["warn"]),
        (("ReadWriteOnce",), loading(multinode={"nodeCount": 2}), ["fail"]),
        (("ReadWriteOnce", "ReadWriteMany"), loading(multinode={"nodeCount": 2}), []),
        (("ReadWriteOncePod",), loading(replicas=2), ["fail"]),
        (("ReadWriteOnce",), loading(replicas=4, pod={"nodeSelector": {NODE: "n"}}), []),
        (("ReadWriteOnce",), loading(replicas=4, pod={"affinity": {"podAffinity": NEAR}}), []),
        ((), loading(replicas=4), ["skip"]),  # it is declared elsewhere
    ],
)
def test_access_mode(
    tmp_path: Path, modes: tuple[str, ...], worker: dict[str, Any], expected: list[str]
) -> None:
    declared = [claim(*modes)] if modes else []
    assert judge(recipe_claims.access_mode, deploy(tmp_path, graph(worker), *declared)) == expected


def test_download_to_a_read_only_claim(tmp_path: Path) -> None:
    recipe = deploy(tmp_path, graph(loading()), claim("ReadOnlyMany"), download())
    assert judge(recipe_claims.access_mode, recipe) == ["fail"]


# storage.size


@pytest.mark.parametrize(
    ("size", "script", "expected"),
    [
        ("100Gi", f"hf download {MODEL}", []),
        ("50Gi", f"hf download {MODEL}", ["warn"]),
        ("50G", f"hf download {MODEL}", ["warn"]),
        ("100Gi", f"hf download {MODEL}; hf download openai/gpt-oss-120b", ["warn"]),
        ("1Gi", "hf download org/unheard-of", ["unjudged"]),
        ("10Gi", "hf download org/unheard-of-120b", ["warn"]),
        ("60Gi", "hf download org/unheard-of-120b", ["unjudged"]),
        ("10Gi", "hf download org/unheard-of-120b-Eagle3", ["unjudged"]),
        ("1e99999999999999999999", f"hf download {MODEL}", ["skip"]),
        ("1Gi", f"hf download {MODEL} --local-dir /tmp", ["skip"]),
    ],
)
def test_size(tmp_path: Path, size: str, script: str, expected: list[str]) -> None:
    """Qwen3-32B is 61 Gi, gpt-oss-120b 57 Gi."""
    home = {"HF_HOME": "/tmp" if "/tmp" in script else "/models"}
    recipe = deploy(tmp_path, claim("ReadWriteMany", size=size), job(script, name="get", env=home))
    assert judge(recipe_claims.size, recipe) == expected


@pytest.mark.parametrize(
    ("size", "more", "expected"),
    [
        ("10Gi", [], ["warn"]),
        ("100Gi", [], []),
        ("100Gi", [download()], []),
        ("10Gi", [download()], ["warn"]),
    ],
)
def test_a_claim_that_a_worker_or_a_job_fills(
    tmp_path: Path, size: str, more: list[dict[str, Any]], expected: list[str]
) -> None:
    recipe = deploy(tmp_path, graph(loading()), claim("ReadWriteMany", size=size), *more)
    assert judge(recipe_claims.size, recipe) == expected


def test_downloads_of_several_files_are_alternatives(tmp_path: Path) -> None:
    recipe = recipes(
        tmp_path,
        cache=dump_objects(claim("ReadWriteMany", size="100Gi")),
        one=dump_objects(download()),
        other=dump_objects(download(model="openai/gpt-oss-120b")),
    )
    assert judge(recipe_claims.size, recipe) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("efs-sc-dynamic", ["unjudged"]), ("my-nfs", ["unjudged"]), ("prefs", ["warn"])]
)
def test_a_class_that_may_enforce_no_size(tmp_path: Path, name: str, expected: list[str]) -> None:
    declared = claim("ReadWriteMany", size="1Gi")
    declared["spec"]["storageClassName"] = name
    assert judge(recipe_claims.size, deploy(tmp_path, declared, download())) == expected


# storage.access-mode of engines without Dynamo

MOUNTS: dict[str, Any] = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "model-cache"}}]}
AT: dict[str, Any] = {"volumeMounts": [{"name": "m", "mountPath": "/models"}]}


def scale(kind: str, **spec: Any) -> dict[str, Any]:
    version = "autoscaling/v2" if kind == "HorizontalPodAutoscaler" else "keda.sh/v1alpha1"
    target = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "e"}}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "h"}, "spec": target | spec}


@pytest.mark.parametrize(
    ("mode", "workload", "scaler", "expected"),
    [
        ("ReadWriteOnce", {"replicas": 3}, None, ["warn"]),
        ("ReadWriteMany", {"replicas": 3}, None, []),
        ("ReadWriteOncePod", {"replicas": 3}, None, ["fail"]),
        ("ReadWriteOnce", {}, scale("HorizontalPodAutoscaler", maxReplicas=4), ["warn"]),
        ("ReadWriteOnce", {}, scale("ScaledObject", maxReplicaCount=4), ["warn"]),
        ("ReadWriteMany", {}, scale("ScaledObject", maxReplicaCount=4), []),
        ("ReadWriteOnce", {}, None, ["warn"]),  # two pods while it is updated
        ("ReadWriteOnce", {"strategy": {"type": "Recreate"}}, None, []),
        ("ReadWriteOnce", {"strategy": {"rollingUpdate": {"maxSurge": 0}}}, None, []),
        ("ReadWriteOnce", {"replicas": 0}, None, []),
    ],
)
def test_access_mode_of_an_engine(
    tmp_path: Path, mode: str, workload: dict[str, Any], scaler: dict[str, Any] | None, expected: list[str]
) -> None:
    one = serve("vllm/vllm-openai:v0.11.0", "--model=a/b", pod=MOUNTS, **AT)
    one["spec"] |= workload
    objects = [one, claim(mode), *([scaler] if scaler is not None else [])]
    assert judge(recipe_claims.access_mode, deploy(tmp_path, *objects)) == expected


def test_a_volume_that_stays_on_its_node_and_pods_of_one_node_are_fine(tmp_path: Path) -> None:
    local = claim("ReadWriteOnce")
    local["spec"]["storageClassName"] = "local-path"
    one = serve("vllm/vllm-openai:v0.11.0", "--model=a/b", pod=MOUNTS, **AT)
    assert judge(recipe_claims.access_mode, deploy(tmp_path, one, local)) == []
    pinned = serve(
        "vllm/vllm-openai:v0.11.0", "--model=a/b", pod=MOUNTS | {"nodeSelector": {NODE: "n"}}, **AT
    )
    assert judge(recipe_claims.access_mode, deploy(tmp_path, pinned, claim("ReadWriteOnce"))) == []
