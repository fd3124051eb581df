from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import live_claims
from dynocheck.facts import (
    ClaimEvent,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    StorageClass,
    StorageClasses,
)
from tests.checks.judging import outcomes, read_lines, recipes, run_check
from tests.checks.storage.manifests import claim, mounting

NOW = StorageClass("now", "nfs.csi.k8s.io", is_default=True)
WAITS = StorageClass("waits", "ebs.csi.aws.com", binding_mode="WaitForFirstConsumer")
CLASSES = StorageClasses((NOW, WAITS))
FAILED = ClaimEvent("Warning", "ProvisioningFailed", "out of quota", "2026-11-01T10:00:00Z")
NORMAL = ClaimEvent("Normal", "WaitForFirstConsumer", "waiting for first consumer", "2026-11-01T10:00:01Z")
DESCRIBE = "kubectl describe pvc model-cache -n models"
LIST = "kubectl get storageclass,pv"


def existing(*events: ClaimEvent, name: str = "model-cache", **fields: Any) -> PersistentVolumeClaims:
    whole = {"phase": "Pending", "storage_class": "now", "access_modes": ("ReadWriteMany",), **fields}
    one = PersistentVolumeClaim(name=name, events=events, **{"requested": "100Gi", **whole})
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
    assert (finding.outcome, str(finding.subject)) == (outcome, "PersistentVolumeClaim models/model-cache")
    assert (finding.fix or "").startswith(fix)


@pytest.mark.parametrize(
    ("claims", "file", "expected"),
    [
        (existing(phase="Bound"), None, []),
        (existing(storage_class="waits"), None, []),
        (existing(NORMAL, storage_class="waits"), None, []),
        # With a recipe only its claims are checked.
        (existing(FAILED), claim(), ["fail"]),
        (existing(FAILED), mounting("model-cache"), ["fail"]),
        (existing(FAILED), claim("other"), ["skip"]),
        (PersistentVolumeClaims((), "models"), None, ["skip"]),
    ],
)
def test_claims_that_are_checked(
    tmp_path: Path, claims: PersistentVolumeClaims, file: str | None, expected: list[str]
) -> None:
    recipe = recipes(tmp_path, x=file) if file else None
    assert outcomes(live_claims.claims_bound, claims, CLASSES, recipe) == expected


# claim-exists


def test_undeclared_claim_must_exist(tmp_path: Path) -> None:
    relying = recipes(tmp_path / "a", deploy=mounting("model-cache"))
    assert outcomes(live_claims.claim_exists, existing(phase="Bound"), relying) == []
    (finding,) = run_check(live_claims.claim_exists, existing(name="other"), relying)
    assert (finding.outcome, finding.evidence) == ("fail", {"claims": ["other"]})
    assert finding.location is not None
    own = recipes(tmp_path / "b", deploy=mounting("model-cache"), cache=claim())
    assert outcomes(live_claims.claim_exists, existing(), own) == ["skip"]
    elsewhere = recipes(tmp_path / "c", deploy=mounting("model-cache", namespace="elsewhere"))
    assert outcomes(live_claims.claim_exists, existing(name="other"), elsewhere) == ["skip"]


# claim-matches

MATCHING = existing(phase="Bound")
BLOCK = existing(phase="Bound", access_modes=("ReadWriteOnce",))
EXPANSION_FAILED = existing(phase="Bound", storage_class=None, requested="500Gi", capacity="50Gi")
ELSEWHERE = claim().replace("name: model-cache", "name: model-cache\n  namespace: elsewhere")


@pytest.mark.parametrize(
    ("claims", "declared", "expected"),
    [
        (MATCHING, claim(), []),
        (BLOCK, claim(), ["fail"]),
        (EXPANSION_FAILED, claim(), []),  # it may be reverted
        (existing(name="other"), claim(), ["skip"]),
        (existing(), ELSEWHERE, ["skip"]),
    ],
)
def test_existing_claim_must_match(
    tmp_path: Path, claims: PersistentVolumeClaims, declared: str, expected: list[str]
) -> None:
    assert outcomes(live_claims.claim_matches, claims, CLASSES, recipes(tmp_path, c=declared)) == expected


def test_a_claim_that_does_not_match_is_named_with_its_line(tmp_path: Path) -> None:
    facts = BLOCK, CLASSES, recipes(tmp_path, c=claim())
    (finding,) = run_check(live_claims.claim_matches, *facts)
    assert str(finding.subject) == "PersistentVolumeClaim models/model-cache"
    assert read_lines(live_claims.claim_matches, *facts) == ["name: model-cache"]
