"""The fixes of findings about a cluster, run as they are written: they mend, and nothing else turns."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.server import ControlPlane
from tests.situations import Situation
from tests.situations.test_situations import SITUATIONS, preflight

_CHANGE = re.compile(r"\bkubectl (annotate|create|delete|label|patch|replace|scale|taint|uncordon)\b")
_WAITING = "kubectl delete pvc "  # until a controller, which no test runs, takes the finalizer away
_Key = tuple[str, str, str]

# Situations whose fix is run in CI; `-m verify` runs the fixes of all.
SAMPLE = {
    "GPU node cordoned",
    "Prometheus for its own namespace",
    "a taint that recipes do not tolerate",
    "disks in another zone",
    "level baseline",
    "operator scaled to nothing",
    "token under another key",
    "two default classes",
}

# Checks whose findings no kubectl command on the API server mends, by what does.
ADVICE = {
    "other room or another recipe": {
        "capacity.fits",
        "capacity.quota-fits",
        "gpu.architecture",
        "gpu.homogeneous",
        "platform.limit-range",
        "platform.quota",
        "storage.claim-matches",
        "storage.claim-reach",
        "rdma.required-by-recipe",
        "rdma.topology",
    },
    "a driver, a device plugin or a machine": {
        "driver.cuda-matrix",
        "gpu.allocatable",
        "gpu.dra",
        "gpu.mig",
        "gpu.nodes-present",
        "gpu.nodes-ready",
        "gpu.operands",
        "gpu.sharing",
        "monitoring.dcgm-exporter",
        "rdma.resources",
    },
    "helm, or what it installed": {
        "gpu.operator",
        "monitoring.prometheus",
        "platform.crd-migration",
        "platform.crds",
        "platform.dns",
        "platform.etcd-nats",
        "platform.multinode",
        "platform.operator",
        "platform.second-operator",
        "platform.version-skew",
        "platform.webhook",
        "rdma.operator",
        "storage.claims-bound",
        "storage.csi-driver",
        "storage.default-class",
        "storage.rwx-class",
    },
    "a design that only its owner knows": {
        "gaie.class",
        "gaie.epp",
        "gaie.gateway",
        "gaie.pool",
        "gaie.route",
        "platform.network-policy",
    },
    "what only the internet has": {"gaie.compatible", "gaie.controller", "gaie.crds", "gaie.gateway-crds"},
}


@pytest.mark.parametrize(
    "situation",
    [pytest.param(s, id=str(s), marks=[] if str(s) in SAMPLE else [pytest.mark.verify]) for s in SITUATIONS],
)
def test_the_first_fix_mends_and_causes_nothing(
    fit_cluster: ControlPlane, tmp_path: Path, situation: Situation
) -> None:
    sound = list_findings(fit_cluster, tmp_path, situation)
    situation.change(fit_cluster)
    present = list_findings(fit_cluster, tmp_path, situation)
    own = {key: finding for key, finding in present.items() if key not in sound}
    typed = [key for key, finding in own.items() if is_typed(finding["fix"] or "")]
    if not typed:
        assert str(situation) not in SAMPLE
        assert {check for check, *_ in own} <= set().union(*ADVICE.values())
        return
    fix = own[typed[0]]["fix"]
    ran = fit_cluster.shell(fix)
    assert ran.returncode == 0, (fix, ran.stderr)
    after = list_findings(fit_cluster, tmp_path, situation)
    assert typed[0] not in after, fix
    before = {key[:2] for key in present}
    assert [key for key in after if key[:2] not in before] == [], fix


def is_typed(fix: str) -> bool:
    """Whether a fix changes the cluster and leaves nothing to fill in that decides about its success."""
    is_command = fix.startswith("kubectl ") and _CHANGE.search(fix) is not None
    return is_command and "NAME" not in fix and not fix.startswith(_WAITING)


def list_findings(cluster: ControlPlane, folder: Path, situation: Situation) -> dict[_Key, dict[str, Any]]:
    """What is wrong with a cluster, by check, subject and message."""
    return {
        (verdict["check"], _name(finding["subject"]), finding["message"]): finding
        for verdict in preflight(cluster, folder, situation.recipe)
        for finding in verdict["findings"]
        if finding["outcome"] in ("fail", "warn")
    }


def _name(subject: dict[str, Any] | None) -> str:
    return f"{subject['kind']} {subject['namespace'] or ''} {subject['name']}" if subject else ""
