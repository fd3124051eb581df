from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dynocheck.checks.manifest import schema
from dynocheck.checks.storage import classes as storage
from dynocheck.data import provisioner
from dynocheck.facts import (
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    PersistentVolumes,
    StorageClass,
    StorageClasses,
)
from tests.checks import manifests
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    deploy,
    judge,
    outcomes,
    places,
    read_lines,
    recipes,
    run_check,
)
from tests.checks.manifests import dump_objects, engine, graph, job
from tests.checks.storage.manifests import claim, mounting
from tests.checks.test_servers import VLLM, serve

NO_CLAIMS, NO_VOLUMES = PersistentVolumeClaims(), PersistentVolumes()
NFS = StorageClass("nfs", "nfs.csi.k8s.io")
EBS = StorageClass("gp3", "ebs.csi.aws.com", is_default=True, created="2026-01-01T00:00:00Z")
UNKNOWN = StorageClass("x", "csi.unheard.example")
VOLUME = PersistentVolume(
    name="lustre", storage_class="fsx", access_modes=("ReadWriteMany",), capacity="1200Gi", phase="Available"
)


def existing(phase: str) -> PersistentVolumeClaims:
    return PersistentVolumeClaims((PersistentVolumeClaim(name="model-cache", phase=phase),), "models")


# default-class


def test_newest_default_wins() -> None:
    newer = StorageClass("newer", "nfs.csi.k8s.io", is_default=True, created="2026-06-01T00:00:00Z")
    facts = StorageClasses((newer, EBS)), None, NO_CLAIMS
    assert places(storage.default_class, *facts) == [("warn", "StorageClass newer")]


def test_no_default_fails_for_unbound_claims_without_a_class(tmp_path: Path) -> None:
    classes = StorageClasses((NFS,))
    naming = recipes(tmp_path / "a", claim=claim(storageClassName="nfs"))
    for recipe in (None, naming):
        assert outcomes(storage.default_class, classes, recipe, NO_CLAIMS) == ["warn"]
    relying = recipes(tmp_path / "b", claim=claim())
    (finding,) = run_check(storage.default_class, classes, relying, NO_CLAIMS)
    assert (finding.fix or "").startswith("kubectl annotate storageclass nfs ")
    assert places(storage.default_class, classes, relying, existing("Pending")) == [("fail", "claim.yaml:4")]
    assert outcomes(storage.default_class, classes, relying, existing("Bound")) == ["warn"]


# rwx-class


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((), ["warn"]),
        ((EBS,), ["warn"]),
        ((EBS, NFS), []),
        ((UNKNOWN,), ["unjudged"]),
        ((EBS, StorageClass("x", "rancher.io/local-path")), ["warn"]),
        ((UNKNOWN, NFS), []),
    ],
)
def test_one_class_with_rwx_is_enough(classes: tuple[StorageClass, ...], expected: list[str]) -> None:
    assert judge(storage.rwx_class, StorageClasses(classes), None) == expected


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (claim(storageClassName="nfs"), []),
        (claim(mode="ReadWriteOnce"), []),
        (claim(storageClassName="gp3"), [("fail", "StorageClass gp3")]),
        (claim(), [("fail", "StorageClass gp3")]),
        (claim(storageClassName="gone"), []),  # storage.class-exists reports it
    ],
)
def test_claim_is_checked_by_its_class(
    tmp_path: Path, declared: str, expected: list[tuple[str, str]]
) -> None:
    classes = StorageClasses((EBS, NFS))
    assert places(storage.rwx_class, classes, recipes(tmp_path, c=declared)) == expected


@pytest.mark.parametrize(
    ("name", "rwx"),
    [
        ("rook-ceph.cephfs.csi.ceph.com", "yes"),
        ("openshift-storage.rbd.csi.ceph.com", "no"),
        ("cluster.local/nfs-subdir-external-provisioner", "yes"),
        ("kubernetes.io/no-provisioner", "depends"),
        ("efs.csi.aws.com", "yes"),
        ("notnfs.example", None),
        ("com", None),
        ("", None),
    ],
)
def test_provisioner_is_known_under_a_prefix_and_not_by_its_ending(name: str, rwx: str | None) -> None:
    row = provisioner(name)
    assert (row and row.rwx) == rwx
    assert row is None or row.source.startswith("https://")


# class-exists


def test_named_class_must_exist(tmp_path: Path) -> None:
    classes = StorageClasses((EBS, NFS))
    named = recipes(tmp_path / "a", c=claim(storageClassName="your-storage-class-name"))
    (finding,) = run_check(storage.class_exists, classes, named, NO_CLAIMS, NO_VOLUMES)
    assert (finding.outcome, finding.fix) == ("fail", "name one of: gp3, nfs")
    unnamed = recipes(tmp_path / "b", c=claim())
    assert outcomes(storage.class_exists, classes, unnamed, NO_CLAIMS, NO_VOLUMES) == ["skip"]


@pytest.mark.parametrize(
    ("volume", "claims", "expected"),
    [
        (VOLUME, NO_CLAIMS, []),
        (replace(VOLUME, claim="models/model-cache"), existing("Pending"), []),
        (replace(VOLUME, claim="other/model-cache"), existing("Pending"), ["fail"]),
        (replace(VOLUME, phase="Bound", claim="models/model-cache"), existing("Bound"), []),
        (replace(VOLUME, phase="Released"), NO_CLAIMS, ["fail"]),
        (replace(VOLUME, capacity="10Gi"), NO_CLAIMS, ["fail"]),
        (replace(VOLUME, access_modes=("ReadWriteOnce",)), NO_CLAIMS, ["fail"]),
        (replace(VOLUME, storage_class="other"), NO_CLAIMS, ["fail"]),
    ],
)
def test_volume_with_the_name_of_a_missing_class(
    tmp_path: Path, volume: PersistentVolume, claims: PersistentVolumeClaims, expected: list[str]
) -> None:
    named = recipes(tmp_path, c=claim(storageClassName="fsx"))
    facts = StorageClasses((EBS,)), named, claims, PersistentVolumes((volume,))
    assert outcomes(storage.class_exists, *facts) == expected


# claim-declared

LEGACY = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  pvcs: [{name: c, create: %s, size: 1Gi, storageClass: nfs, volumeAccessMode: ReadWriteMany}]
  services:
    Worker: {componentType: worker, volumeMounts: [{name: c, mountPoint: /models}]}
"""


def serving(name: str, claim_name: str) -> str:
    """A Deployment of vLLM that mounts a claim."""
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": claim_name}}
    server = serve(VLLM, "--model", "a/b", pod={"volumes": [volume]})
    return dump_objects({**server, "metadata": {"name": name}})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cache": claim(), "deploy": mounting("model-cache")}, []),
        ({"cache": claim("weights"), "deploy": mounting("model-cache")}, ["fail"]),
        ({"deploy": mounting("model-cache")}, ["warn"]),
        (
            {"cache": claim("weights"), "deploy": "# Make model-cache first.\n" + mounting("model-cache")},
            ["warn"],
        ),
        ({"deploy": GRAPH + FRONTEND}, ["skip"]),
        ({"deploy": LEGACY % "true"}, []),  # the operator creates it
        ({"deploy": LEGACY % "false"}, ["warn"]),
        ({"deploy": LEGACY.replace("[{name: c, mount", "[{name: d, mount") % "false"}, ["fail", "warn"]),
        ({"cache": claim("d"), "deploy": LEGACY.replace("name: c, m", "name: d, m") % "false"}, ["fail"]),
        ({"cache": claim("d"), "deploy": LEGACY.replace("name: c, m", "name: d, m") % "true"}, []),
    ],
)
def test_mounted_claim_must_be_declared(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    recipe = recipes(tmp_path, **files)
    assert outcomes(storage.claim_declared, recipe) == expected
    if files.get("cache") == claim("weights") and expected == ["fail"]:
        (finding,) = run_check(storage.claim_declared, recipe)
        assert finding.fix == "declare a PersistentVolumeClaim model-cache, or mount weights"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": serving("a", "model-cache"), "cache": claim("weights")}, ["fail"]),
        # Several servers in a folder need not belong together: one may use a claim that is there already.
        (
            {"a": serving("a", "model-cache"), "b": serving("b", "weights"), "cache": claim("weights")},
            ["warn"],
        ),
        (
            {"a": serving("a", "model-cache") + "---\n" + claim("weights"), "b": serving("b", "weights")},
            ["fail"],
        ),
    ],
)
def test_only_claims_of_the_same_deployment_may_be_meant(
    tmp_path: Path, files: dict[str, str], expected: list[str]
) -> None:
    assert sorted(outcomes(storage.claim_declared, recipes(tmp_path, **files))) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("gateway.example/v1", ["warn"]), ("leaderworkerset.x-k8s.io/v1", ["fail"])],
)
def test_another_operator_may_make_the_claim_that_its_object_mounts(
    tmp_path: Path, version: str, expected: list[str]
) -> None:
    pod = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "model-cache"}}]}
    proxy = {"apiVersion": version, "kind": "Proxy", "metadata": {"name": "a"}, "spec": pod}
    given = recipes(tmp_path, deploy=claim("weights") + "---\n" + dump_objects(proxy))
    assert outcomes(storage.claim_declared, given) == expected


def test_claim_of_the_model_around_a_variant_is_declared(tmp_path: Path) -> None:
    recipes(tmp_path, model_cache__cache=claim(), vllm__agg__deploy=mounting("model-cache"))
    assert outcomes(storage.claim_declared, recipes(tmp_path / "vllm" / "agg")) == []


def test_claim_that_a_job_mounts_must_be_declared(tmp_path: Path) -> None:
    perf = job("true", pod={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "results"}}]})
    recipe = recipes(tmp_path, cache=claim(), perf=dump_objects(perf))
    assert outcomes(storage.claim_declared, recipe) == ["fail"]
    assert read_lines(storage.claim_declared, recipe) == ["claimName: results"]


MOUNT = {"volumeMounts": [{"name": "weights", "mountPath": "/models"}]}
VOLUMES = {"volumes": [{"name": "wieghts", "persistentVolumeClaim": {"claimName": "model-cache"}}]}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([graph(engine(main=MOUNT))], ["warn"]),
        ([graph(engine(main=MOUNT)), manifests.claim("ReadWriteMany", name="weights")], []),
        ([graph(engine(main=MOUNT)), manifests.claim("ReadWriteMany")], ["fail"]),
        ([graph(engine(main=MOUNT, pod=VOLUMES)), manifests.claim("ReadWriteMany")], ["fail"]),
        ([graph(engine(main={"volumeMounts": [{"name": "shared-memory", "mountPath": "/m"}]}))], ["skip"]),
    ],
)
def test_a_mount_without_a_volume_is_of_the_claim_of_its_name(
    tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]
) -> None:
    given = deploy(tmp_path, *objects)
    assert outcomes(storage.claim_declared, given) == expected
    if expected in (["fail"], ["warn"]):
        assert read_lines(storage.claim_declared, given) == ["- name: weights"]
    assert outcomes(schema.schema, given, None, None) == []
