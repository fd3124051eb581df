from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.storage import live_claims
from dynocheck.facts import StorageClass, StorageClasses
from dynocheck.facts.k8s.storage import ClaimEvent, PersistentVolumeClaim, PersistentVolumeClaims
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.storage.test_classes import claim, mounting

NOW = StorageClass("now", "nfs.csi.k8s.io", is_default=True)
WAITS = StorageClass("waits", "ebs.csi.aws.com", binding_mode="WaitForFirstConsumer")
CLASSES = StorageClasses((NOW, WAITS))
FAILED = ClaimEvent("Warning", "ProvisioningFailed", "out of quota", "2026-11-01T10:00:00Z")
NORMAL = ClaimEvent("Normal", "WaitForFirstConsumer", "waiting for first consumer", "2026-11-01T10:00:01Z")


def there(*events: ClaimEvent, name: str = "model-cache", **fields: object) -> PersistentVolumeClaims:
    whole = {"phase": "Pending", "storage_class": "now", "access_modes": ("ReadWriteMany",), **fields}
    made = PersistentVolumeClaim(name=name, requested="100Gi", events=events, **whole)  # type: ignore[arg-type]
    return PersistentVolumeClaims((made,), "models")


# claims-bound


@pytest.mark.parametrize(
    ("seen", "outcome", "says"),
    [
        (there(FAILED), "fail", "Pending: ProvisioningFailed: out of quota"),
        (there(FAILED, NORMAL), "fail", "Pending: ProvisioningFailed: out of quota"),
        (there(FAILED, storage_class="waits"), "fail", "out of quota"),
        (there(), "warn", "Pending: no event tells why"),
        (there(NORMAL), "warn", "Pending: waiting for first consumer"),
        (there(NORMAL, storage_class="waits", selected_node="gpu-1"), "warn", "waiting for first"),
        (there(storage_class="gone"), "fail", "StorageClass gone does not exist"),
        (there(storage_class=None), "fail", "it names no StorageClass, and none is the default"),
        (there(storage_class=""), "fail", "it asks for no StorageClass, and no PersistentVolume fits it"),
        (there(storage_class="", volume="pv-1"), "warn", "no event tells why"),
        (there(phase="Lost", volume="pv-1"), "fail", "PersistentVolume pv-1 is gone"),
        (there(phase="Bound", deleting=True), "warn", "is being deleted"),
    ],
)
def test_why_a_claim_has_no_volume(seen: PersistentVolumeClaims, outcome: str, says: str) -> None:
    (finding,) = run_check(live_claims.claims_bound, seen, CLASSES, None)
    assert str(finding.outcome) == outcome
    assert says in finding.message
    assert str(finding.subject) == "PersistentVolumeClaim models/model-cache"


@pytest.mark.parametrize(
    "seen", [there(phase="Bound"), there(storage_class="waits"), there(NORMAL, storage_class="waits")]
)
def test_what_is_bound_or_waits_for_its_pod_is_well(seen: PersistentVolumeClaims) -> None:
    assert list_messages(live_claims.claims_bound, seen, CLASSES, None) == []


def test_with_a_recipe_only_its_claims_count(tmp_path: Path) -> None:
    seen = there(FAILED)
    for name, files in {"declared": claim(), "mounted": mounting("model-cache")}.items():
        assert list_messages(live_claims.claims_bound, seen, CLASSES, recipes(tmp_path / name, x=files))
    other = recipes(tmp_path / "other", x=claim("other"))
    assert (
        get_skip_reason(live_claims.claims_bound, seen, CLASSES, other)
        == "no claim of the recipe is in namespace models yet"
    )
    assert get_skip_reason(live_claims.claims_bound, PersistentVolumeClaims((), "models"), CLASSES, None)


# claim-exists


def test_a_claim_that_others_are_to_have_made(tmp_path: Path) -> None:
    relying = recipes(tmp_path / "a", deploy=mounting("model-cache"))
    assert list_messages(live_claims.claim_exists, there(phase="Bound"), relying) == []
    (finding,) = run_check(live_claims.claim_exists, there(name="other"), relying)
    assert str(finding.outcome) == "fail"
    assert finding.message == "claim model-cache is mounted, not declared, and not in namespace models"
    assert finding.location is not None
    own = recipes(tmp_path / "b", deploy=mounting("model-cache"), cache=claim())
    assert (
        get_skip_reason(live_claims.claim_exists, there(), own)
        == "the recipe declares every claim that it mounts"
    )


def test_a_graph_for_another_namespace_is_not_looked_for_here(tmp_path: Path) -> None:
    deploy = mounting("model-cache").replace("{name: g}", "{name: g, namespace: elsewhere}")
    assert get_skip_reason(live_claims.claim_exists, there(name="other"), recipes(tmp_path, deploy=deploy))


# claim-matches


def test_a_claim_in_the_way(tmp_path: Path) -> None:
    recipe = recipes(tmp_path / "a", c=claim())
    assert list_messages(live_claims.claim_matches, there(phase="Bound"), CLASSES, recipe) == []
    (finding,) = run_check(
        live_claims.claim_matches, there(phase="Bound", access_modes=("ReadWriteOnce",)), CLASSES, recipe
    )
    assert finding.location is not None
    assert finding.location.line == 4
    assert finding.message == (
        "claim model-cache cannot be applied: it asks for ReadWriteMany, "
        "and the one that is there has ReadWriteOnce"
    )
    assert get_skip_reason(live_claims.claim_matches, there(name="other"), CLASSES, recipe)
    elsewhere = claim().replace("{name: model-cache}", "{name: model-cache, namespace: elsewhere}")
    assert get_skip_reason(live_claims.claim_matches, there(), CLASSES, recipes(tmp_path / "b", c=elsewhere))


def test_an_expansion_that_failed_may_be_taken_back(tmp_path: Path) -> None:
    seen = PersistentVolumeClaims(
        (
            PersistentVolumeClaim(
                name="model-cache",
                phase="Bound",
                access_modes=("ReadWriteMany",),
                requested="500Gi",
                capacity="50Gi",
            ),
        ),
        "models",
    )
    assert list_messages(live_claims.claim_matches, seen, CLASSES, recipes(tmp_path, c=claim())) == []
