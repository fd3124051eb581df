"""What `storage.claim-matches` says must be what the API server does."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.checks.storage import live_claims as checks
from dynocheck.probes.storage.claims import claims
from dynocheck.probes.storage.classes import storage_classes
from tests import clusters
from tests.checks.judging import outcomes, recipes, run_check
from tests.checks.manifests import claim
from tests.clusters import storage
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import reach

RWX, RWO, ROX = "ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany"
BOUND = {"phase": "Bound", "capacity": {"storage": "100Gi"}}


def manifest(**spec: Any) -> Object:
    made = claim(RWX, name="cache")
    made["metadata"]["namespace"] = "default"
    whole = {**made["spec"], "storageClassName": "shared", **spec}
    return {**made, "spec": {key: value for key, value in whole.items() if value is not None}}


def sized(size: str) -> Object:
    return {"resources": {"requests": {"storage": size}}}


@pytest.mark.parametrize(
    ("there", "phase", "declared", "refused"),
    [
        ({}, "Bound", {}, False),
        ({}, "Bound", {"storageClassName": "grows"}, True),
        ({}, "Bound", {"storageClassName": ""}, True),
        ({}, "Bound", {"storageClassName": None}, True),
        ({"storageClassName": None}, "Bound", {}, False),
        ({"storageClassName": None}, "Bound", {"storageClassName": "grows"}, True),
        ({"storageClassName": ""}, "Bound", {"storageClassName": None}, True),
        ({"storageClassName": ""}, "Bound", {"storageClassName": ""}, False),
        ({}, "Bound", {"accessModes": [RWO]}, True),
        ({"accessModes": [RWX, ROX]}, "Bound", {"accessModes": [ROX, RWX]}, True),
        ({}, "Bound", sized("50Gi"), True),
        ({}, "Bound", sized("102400Mi"), False),
        ({}, "Bound", sized("200Gi"), True),
        ({"storageClassName": "grows"}, "Bound", {"storageClassName": "grows", **sized("200Gi")}, False),
        ({"storageClassName": "grows"}, "Bound", {"storageClassName": "grows", **sized("50Gi")}, True),
        ({"storageClassName": ""}, "Bound", {"storageClassName": "", **sized("200Gi")}, True),
        ({"storageClassName": "gone"}, "Bound", {"storageClassName": "gone", **sized("200Gi")}, True),
        ({}, "Pending", {}, False),
        ({}, "Pending", sized("200Gi"), True),
        ({}, "Pending", sized("50Gi"), True),
        ({}, "Lost", sized("50Gi"), True),
    ],
)
def test_what_is_said_to_be_refused_is_refused(
    cluster: ControlPlane, tmp_path: Path, there: Object, phase: str, declared: Object, refused: bool
) -> None:
    grows = clusters.storage_class("grows", default=False, allowVolumeExpansion=True)
    cluster.apply(clusters.storage_class(), grows)
    file = tmp_path / "there.yaml"
    file.write_text(yaml.safe_dump(manifest(**there)))
    made = cluster.kubectl("apply", "-f", str(file))
    assert made.returncode == 0, made.stderr
    cluster.patch_status({**storage.claim("cache"), "status": {**BOUND, "phase": phase}})
    recipe = recipes(tmp_path / "recipe", claim=yaml.safe_dump(manifest(**declared)))
    seen = reach(cluster)
    said = outcomes(checks.claim_matches, claims(seen), storage_classes(seen), recipe)
    tried = cluster.kubectl("apply", "-f", str(tmp_path / "recipe"))
    assert (tried.returncode != 0) is refused, tried.stderr
    assert said == (["fail"] if refused else []), tried.stderr


def test_a_claim_grows_once_its_class_is_patched_as_the_fix_says(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    cluster.apply(clusters.storage_class(), manifest())
    cluster.patch_status({**storage.claim("cache"), "status": BOUND})
    recipe = recipes(tmp_path, claim=yaml.safe_dump(manifest(**sized("200Gi"))))
    seen = reach(cluster)
    (finding,) = run_check(checks.claim_matches, claims(seen), storage_classes(seen), recipe)
    assert finding.fix is not None
    assert finding.fix.startswith("it cannot be expanded: declare 100Gi, or a claim of another name; or,")
    command = shlex.split(finding.fix.partition("can expand volumes: ")[2])
    patched = cluster.kubectl(*command[1:])
    assert patched.returncode == 0, patched.stderr
    assert run_check(checks.claim_matches, claims(seen), storage_classes(seen), recipe) == []
