from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.storage import live_claims
from dynocheck.facts import (
    ClaimEvent,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    StorageClass,
    StorageClasses,
)
from tests.checks.judging import get_skip_reason, outcomes, places, recipes, run_check
from tests.checks.storage.manifests import claim, mounting

NOW = StorageClass("now", "nfs.csi.k8s.io", is_default=True)
WAITS = StorageClass("waits", "ebs.csi.aws.com", binding_mode="WaitForFirstConsumer")
CLASSES = StorageClasses((NOW, WAITS))
FAILED = ClaimEvent("Warning", "ProvisioningFailed", "out of quota", "2026-11-01T10:00:00Z")
NORMAL = ClaimEvent("Normal", "WaitForFirstConsumer", "waiting for first consumer", "2026-11-01T10:00:01Z")
DESCRIBE = "kubectl describe pvc model-cache -n models"
LIST = "kubectl get storageclass,pv"


def existing(*events: ClaimEvent, name: str = "model-cache", **fields: object) -> PersistentVolumeClaims:
    whole = {"phase": "Pending", "storage_class": "now", "access_modes": ("ReadWriteMany",), **fields}
    one = PersistentVolumeClaim(name=name, events=events, **{"requested": "100Gi", **whole})  # type: ignore[arg-type]
    return PersistentVolumeClaims((one,), "models")


# claims-bound


@pytest.mark.parametrize(
    ("claims", "outcome", "fix"),
    [
        (existing(FAILED), "fail", DESCRIBE),
        (existing(FAILED, NORMAL), "fail", DESCRIBE),
        (existing(FAILED, storage_class="waits"), "fail", DESCRIBE),
        (existing(), "warn", DESCRIBE),
        (existing(NORMAL), "warn", DESCRIBE),
        (existing(NORMAL, storage_class="waits", selected_node="gpu-1"), "warn", DESCRIBE),
        (existing(storage_class="gone"), "fail", LIST),
        (existing(storage_class=None), "fail", LIST),
        (existing(storage_class=""), "fail", LIST),
        (existing(storage_class="", volume="pv-1"), "warn", DESCRIBE),
        (existing(phase="Lost", volume="pv-1"), "fail", "kubectl delete pvc model-cache -n models"),
        (existing(phase="Bound", deleting=True), "warn", "wait for the pods in: "),
    ],
)
def test_claim_without_a_volume(claims: PersistentVolumeClaims, outcome: str, fix: str) -> None:
    (finding,) = run_check(live_claims.claims_bound, claims, CLASSES, None)
    assert (str(finding.outcome), str(finding.subject)) == (
        outcome,
        "PersistentVolumeClaim models/model-cache",
    )
    assert (finding.fix or "").startswith(fix)


@pytest.mark.parametrize(
    "claims",
    [existing(phase="Bound"), existing(storage_class="waits"), existing(NORMAL, storage_class="waits")],
)
def test_bound_or_waiting_claim_is_fine(claims: PersistentVolumeClaims) -> None:
    assert outcomes(live_claims.claims_bound, claims, CLASSES, None) == []


def test_with_a_recipe_only_its_claims_are_checked(tmp_path: Path) -> None:
    for name, file in {"declared": claim(), "mounted": mounting("model-cache")}.items():
        recipe = recipes(tmp_path / name, x=file)
        assert outcomes(live_claims.claims_bound, existing(FAILED), CLASSES, recipe) == ["fail"]
    other = recipes(tmp_path / "other", x=claim("other"))
    assert get_skip_reason(live_claims.claims_bound, existing(FAILED), CLASSES, other)
    assert get_skip_reason(live_claims.claims_bound, PersistentVolumeClaims((), "models"), CLASSES, None)


# claim-exists


def test_undeclared_claim_must_exist(tmp_path: Path) -> None:
    relying = recipes(tmp_path / "a", deploy=mounting("model-cache"))
    assert outcomes(live_claims.claim_exists, existing(phase="Bound"), relying) == []
    (finding,) = run_check(live_claims.claim_exists, existing(name="other"), relying)
    assert (str(finding.outcome), finding.evidence) == ("fail", {"claims": ["other"]})
    assert finding.location is not None
    own = recipes(tmp_path / "b", deploy=mounting("model-cache"), cache=claim())
    assert get_skip_reason(live_claims.claim_exists, existing(), own)


def test_claim_of_another_namespace_is_not_checked(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=mounting("model-cache", namespace="elsewhere"))
    assert get_skip_reason(live_claims.claim_exists, existing(name="other"), recipe)


# claim-matches


def test_existing_claim_must_match(tmp_path: Path) -> None:
    recipe = recipes(tmp_path / "a", c=claim())
    assert outcomes(live_claims.claim_matches, existing(phase="Bound"), CLASSES, recipe) == []
    block = existing(phase="Bound", access_modes=("ReadWriteOnce",))
    (finding,) = run_check(live_claims.claim_matches, block, CLASSES, recipe)
    assert finding.location is not None
    assert finding.location.line == 4
    assert places(live_claims.claim_matches, block, CLASSES, recipe) == [
        ("fail", "PersistentVolumeClaim models/model-cache")
    ]
    assert get_skip_reason(live_claims.claim_matches, existing(name="other"), CLASSES, recipe)
    elsewhere = claim().replace("name: model-cache", "name: model-cache\n  namespace: elsewhere")
    recipe = recipes(tmp_path / "b", c=elsewhere)
    assert get_skip_reason(live_claims.claim_matches, existing(), CLASSES, recipe)


def test_failed_expansion_may_be_reverted(tmp_path: Path) -> None:
    expanded = existing(phase="Bound", storage_class=None, requested="500Gi", capacity="50Gi")
    assert outcomes(live_claims.claim_matches, expanded, CLASSES, recipes(tmp_path, c=claim())) == []
