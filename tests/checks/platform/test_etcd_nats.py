from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck.checks.platform import etcd_nats
from dynocheck.facts import (
    OperatorConfig,
    OperatorConfigs,
    PlatformClaim,
    PlatformClaims,
    PlatformPod,
    ServiceEndpoints,
    StorageClasses,
    Workload,
    Workloads,
)
from tests.checks.judging import deploy, outcomes, run_check
from tests.checks.manifests import engine, graph
from tests.checks.platform import HERE, operator

NATS = "nats://n.sys.svc.cluster.local:4222"
ETCD = "etcd-0.sys.svc:2379,etcd-1.sys.svc:2379"

PENDING = PlatformClaims((PlatformClaim("dynamo-system", "js-dynamo-nats-0", "Pending"),))


def gather(configs: OperatorConfigs, services: ServiceEndpoints, *workloads: Workload) -> tuple[Any, ...]:
    """What the check reads of the cluster."""
    return configs, Workloads(workloads), services, PENDING, StorageClasses(), HERE


@pytest.mark.parametrize(
    ("addresses", "ready", "expected"),
    [
        ({"nats": NATS}, {"sys/n": 1}, []),
        ({"nats": NATS}, {"sys/n": 0}, ["fail"]),
        ({"nats": NATS}, {}, ["warn"]),
        ({"nats": "user:word@n.sys.svc:4222"}, {"sys/n": 0}, ["fail"]),
        ({"nats": ETCD}, {"sys/etcd-0": 1, "sys/etcd-1": 0}, ["fail"]),
        ({"nats": "n"}, {"sys/n": 0}, ["fail"]),
        ({"etcd": "http://etcd.example.com:2379"}, {}, ["skip"]),
    ],
)
def test_addresses_of_the_operator(
    addresses: dict[str, Any], ready: dict[str, int], expected: list[str]
) -> None:
    configs = OperatorConfigs((OperatorConfig(namespace="sys", name="c", **addresses),))
    assert outcomes(etcd_nats.etcd_nats, *gather(configs, ServiceEndpoints(ready)), None) == expected


def test_addresses_of_a_recipe(tmp_path: Path) -> None:
    down = ServiceEndpoints({"sys/n": 0})
    without = deploy(tmp_path / "a", graph(engine()))
    assert outcomes(etcd_nats.etcd_nats, *gather(OperatorConfigs(), down), without) == ["skip"]
    recipe = deploy(tmp_path / "b", graph(engine(env={"NATS_SERVER": NATS})))
    (finding,) = run_check(etcd_nats.etcd_nats, *gather(OperatorConfigs(), down), recipe)
    assert (finding.outcome, str(finding.subject)) == ("fail", "Service sys/n")
    assert finding.location is not None


def nats(**labels: str) -> Workload:
    names = {"app.kubernetes.io/name": "nats", "app.kubernetes.io/instance": "dynamo-platform", **labels}
    return Workload(
        kind="StatefulSet", namespace="dynamo-system", name="dynamo-nats", labels=names, desired=1
    )


def test_addresses_in_the_arguments_of_an_older_operator() -> None:
    old = msgspec.structs.replace(operator("0.8.1"), addresses=(NATS,))
    for ready, expected in ((0, ["fail"]), (1, [])):
        facts = gather(OperatorConfigs(), ServiceEndpoints({"sys/n": ready}), old)
        assert outcomes(etcd_nats.etcd_nats, *facts, None) == expected


def test_nats_beside_an_operator_waits_for_its_claim() -> None:
    down = ServiceEndpoints({"dynamo-system/dynamo-nats": 0})
    facts = gather(OperatorConfigs(), down, operator("1.4.0"), nats())
    (finding,) = run_check(etcd_nats.etcd_nats, *facts, None)
    assert finding.outcome == "fail"
    assert "js-dynamo-nats-0" in finding.message
    other = nats(**{"app.kubernetes.io/instance": "events"})
    facts = gather(OperatorConfigs(), down, operator("1.4.0"), other)
    assert outcomes(etcd_nats.etcd_nats, *facts, None) == ["skip"]


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (PlatformPod("dynamo-system", "dynamo-nats-0", "ErrImagePull: no such image"), True),
        (PlatformPod("dynamo-system", "dynamo-nats-box-0", "ErrImagePull: no such image"), False),
        (PlatformPod("other", "dynamo-nats-0", "ErrImagePull: no such image"), False),
    ],
)
def test_nats_beside_an_operator_has_a_pod_that_does_not_run(pod: PlatformPod, told: bool) -> None:
    down = ServiceEndpoints({"dynamo-system/dynamo-nats": 0})
    configs, workloads, services, _, *rest = gather(OperatorConfigs(), down, operator("1.4.0"), nats())
    facts = configs, workloads, services, PlatformClaims(pods=(pod,)), *rest
    (finding,) = run_check(etcd_nats.etcd_nats, *facts, None)
    assert ("no such image" in finding.message) is told
