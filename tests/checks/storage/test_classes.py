from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from dynocheck.checks.storage import classes as storage
from dynocheck.data import provisioner
from dynocheck.facts import StorageClass, StorageClasses
from dynocheck.facts.k8s.storage import (
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    PersistentVolumes,
)
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

NO_CLAIMS, NO_VOLUMES = PersistentVolumeClaims(), PersistentVolumes()
NFS = StorageClass("nfs", "nfs.csi.k8s.io")
EBS = StorageClass("gp3", "ebs.csi.aws.com", is_default=True, created="2026-01-01T00:00:00Z")


def claim(name: str = "model-cache", *, storage_class: str | None = None, mode: str = "ReadWriteMany") -> str:
    named = f"\n  storageClassName: {storage_class}" if storage_class is not None else ""
    return f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  accessModes: [{mode}]
  resources: {{requests: {{storage: 100Gi}}}}{named}
"""


def mounting(name: str) -> str:
    volume = f"[{{name: v, persistentVolumeClaim: {{claimName: {name}}}}}]"
    return GRAPH + FRONTEND + worker().replace("      spec:\n", f"      spec:\n        volumes: {volume}\n")


# default-class


def test_the_newest_default_wins() -> None:
    newer = StorageClass("newer", "nfs.csi.k8s.io", is_default=True, created="2026-06-01T00:00:00Z")
    (finding,) = run_check(storage.default_class, StorageClasses((newer, EBS)), None, NO_CLAIMS)
    assert finding.message == "2 classes are default; a claim that names none gets newer, the newest"


def test_no_default_is_a_failure_for_a_claim_that_names_no_class(tmp_path: Path) -> None:
    classes = StorageClasses((NFS,))
    assert [outcome for outcome, _ in list_messages(storage.default_class, classes, None, NO_CLAIMS)] == [
        "warn"
    ]
    naming = recipes(tmp_path / "a", claim=claim(storage_class="nfs"))
    assert [outcome for outcome, _ in list_messages(storage.default_class, classes, naming, NO_CLAIMS)] == [
        "warn"
    ]
    relying = recipes(tmp_path / "b", claim=claim())
    (finding,) = run_check(storage.default_class, classes, relying, NO_CLAIMS)
    assert str(finding.outcome) == "fail"
    assert finding.location is not None
    assert finding.location.line == 4
    assert finding.fix is not None
    assert finding.fix.startswith("kubectl annotate storageclass nfs ")
    bound = PersistentVolumeClaims((PersistentVolumeClaim(name="model-cache", phase="Bound"),))
    assert [outcome for outcome, _ in list_messages(storage.default_class, classes, relying, bound)] == [
        "warn"
    ]
    waiting = PersistentVolumeClaims((PersistentVolumeClaim(name="model-cache", phase="Pending"),))
    assert [outcome for outcome, _ in list_messages(storage.default_class, classes, relying, waiting)] == [
        "fail"
    ]


# rwx-class


@pytest.mark.parametrize(
    ("classes", "outcomes"),
    [
        ((), ["warn"]),
        ((EBS,), ["warn"]),
        ((EBS, NFS), []),
        ((StorageClass("x", "csi.unheard.example"),), ["warn"]),
        ((EBS, StorageClass("x", "rancher.io/local-path")), ["warn"]),
        ((StorageClass("x", "csi.unheard.example"), NFS), []),
    ],
)
def test_one_class_that_can_is_enough(classes: tuple[StorageClass, ...], outcomes: list[str]) -> None:
    assert [o for o, _ in list_messages(storage.rwx_class, StorageClasses(classes), None)] == outcomes


def test_a_claim_is_judged_by_the_class_it_gets(tmp_path: Path) -> None:
    classes = StorageClasses((EBS, NFS))
    assert (
        list_messages(storage.rwx_class, classes, recipes(tmp_path / "a", c=claim(storage_class="nfs"))) == []
    )
    assert (
        list_messages(storage.rwx_class, classes, recipes(tmp_path / "b", c=claim(mode="ReadWriteOnce")))
        == []
    )
    for name in ("gp3", None):
        wrong = recipes(tmp_path / f"c{name}", c=claim(storage_class=name))
        ((outcome, message),) = list_messages(storage.rwx_class, classes, wrong)
        assert outcome == "fail"
        assert "StorageClass gp3 (ebs.csi.aws.com) cannot give" in message
    # What a class that does not exist would give is not guessed: storage.class-exists has the word.
    assert (
        list_messages(storage.rwx_class, classes, recipes(tmp_path / "d", c=claim(storage_class="gone")))
        == []
    )


@pytest.mark.parametrize(
    ("name", "rwx"),
    [
        ("rook-ceph.cephfs.csi.ceph.com", "yes"),
        ("openshift-storage.rbd.csi.ceph.com", "no"),
        ("cluster.local/nfs-subdir-external-provisioner", "yes"),
        ("kubernetes.io/no-provisioner", "depends"),
        ("efs.csi.aws.com", "yes"),
    ],
)
def test_drivers_are_known_under_their_prefixes(name: str, rwx: str) -> None:
    row = provisioner(name)
    assert row is not None
    assert row.rwx == rwx
    assert row.source.startswith("https://")


def test_a_name_that_only_ends_alike_is_not_known() -> None:
    assert provisioner("notnfs.example") is None
    assert provisioner("com") is None
    assert provisioner("") is None


# class-exists


def test_a_class_that_is_named_must_exist(tmp_path: Path) -> None:
    named = recipes(tmp_path / "a", c=claim(storage_class="your-storage-class-name"))
    (finding,) = run_check(storage.class_exists, StorageClasses((EBS, NFS)), named, NO_CLAIMS, NO_VOLUMES)
    assert (str(finding.outcome), finding.fix) == ("fail", "name one of: gp3, nfs")
    unnamed = recipes(tmp_path / "b", c=claim())
    assert get_skip_reason(storage.class_exists, StorageClasses((EBS,)), unnamed, NO_CLAIMS, NO_VOLUMES)


VOLUME = PersistentVolume(
    name="lustre", storage_class="fsx", access_modes=("ReadWriteMany",), capacity="1200Gi", phase="Available"
)


def bound_to(claim_name: str, phase: str) -> PersistentVolumeClaims:
    return PersistentVolumeClaims((PersistentVolumeClaim(name=claim_name, phase=phase),), "models")


@pytest.mark.parametrize(
    ("volume", "claims", "outcomes"),
    [
        (VOLUME, NO_CLAIMS, []),
        (replace(VOLUME, claim="models/model-cache"), bound_to("model-cache", "Pending"), []),
        (replace(VOLUME, claim="other/model-cache"), bound_to("model-cache", "Pending"), ["fail"]),
        (replace(VOLUME, phase="Bound", claim="models/model-cache"), bound_to("model-cache", "Bound"), []),
        (replace(VOLUME, phase="Released"), NO_CLAIMS, ["fail"]),
        (replace(VOLUME, capacity="10Gi"), NO_CLAIMS, ["fail"]),
        (replace(VOLUME, access_modes=("ReadWriteOnce",)), NO_CLAIMS, ["fail"]),
        (replace(VOLUME, storage_class="other"), NO_CLAIMS, ["fail"]),
    ],
)
def test_a_class_may_be_no_more_than_a_name(
    tmp_path: Path, volume: PersistentVolume, claims: PersistentVolumeClaims, outcomes: list[str]
) -> None:
    named = recipes(tmp_path, c=claim(storage_class="fsx"))
    volumes = PersistentVolumes((volume,))
    judged = list_messages(storage.class_exists, StorageClasses((EBS,)), named, claims, volumes)
    assert [outcome for outcome, _ in judged] == outcomes


# claim-declared


def test_a_mounted_claim_is_declared(tmp_path: Path) -> None:
    good = recipes(tmp_path / "a", cache=claim(), deploy=mounting("model-cache"))
    assert list_messages(storage.claim_declared, good) == []
    renamed = recipes(tmp_path / "b", cache=claim("weights"), deploy=mounting("model-cache"))
    ((outcome, message),) = list_messages(storage.claim_declared, renamed)
    assert outcome == "fail"
    assert message == "claim model-cache is mounted but not declared; the recipe declares weights"
    alone = recipes(tmp_path / "c", deploy=mounting("model-cache"))
    assert [o for o, _ in list_messages(storage.claim_declared, alone)] == ["warn"]
    assert get_skip_reason(storage.claim_declared, recipes(tmp_path / "d", deploy=GRAPH + FRONTEND))


def test_the_claims_of_the_model_around_a_variant_count(tmp_path: Path) -> None:
    recipes(tmp_path, model_cache__cache=claim(), vllm__agg__deploy=mounting("model-cache"))
    variant = recipes(tmp_path / "vllm" / "agg")
    assert list_messages(storage.claim_declared, variant) == []


def test_a_claim_that_the_operator_creates_is_declared(tmp_path: Path) -> None:
    graph = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  pvcs: [{name: cache, create: true, size: 1Gi, storageClass: nfs, volumeAccessMode: ReadWriteMany}]
  services:
    Worker: {componentType: worker, volumeMounts: [{name: cache, mountPoint: /models}]}
"""
    assert list_messages(storage.claim_declared, recipes(tmp_path / "a", deploy=graph)) == []
    not_created = graph.replace("create: true", "create: false")
    assert [
        o for o, _ in list_messages(storage.claim_declared, recipes(tmp_path / "b", deploy=not_created))
    ] == ["warn"]


def test_a_job_mounts_claims_too(tmp_path: Path) -> None:
    job = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      containers: [{name: c, image: i}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: results}}]
"""
    (finding,) = run_check(storage.claim_declared, recipes(tmp_path, cache=claim(), perf=job))
    assert finding.location is not None
    assert (finding.location.file, finding.location.line) == (str(tmp_path / "perf.yaml"), 9)
