from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.platform import etcd_nats
from dynocheck.facts import OperatorConfig, OperatorConfigs, ServiceEndpoints
from tests.checks.judging import deploy, outcomes, run_check
from tests.checks.manifests import engine, graph
from tests.checks.platform import HERE

NATS = "nats://n.sys.svc.cluster.local:4222"
ETCD = "etcd-0.sys.svc:2379,etcd-1.sys.svc:2379"


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
    assert outcomes(etcd_nats.etcd_nats, configs, ServiceEndpoints(ready), HERE, None) == expected


def test_addresses_of_a_recipe(tmp_path: Path) -> None:
    down = ServiceEndpoints({"sys/n": 0})
    without = deploy(tmp_path / "a", graph(engine()))
    assert outcomes(etcd_nats.etcd_nats, OperatorConfigs(), down, HERE, without) == ["skip"]
    recipe = deploy(tmp_path / "b", graph(engine(env={"NATS_SERVER": NATS})))
    (finding,) = run_check(etcd_nats.etcd_nats, OperatorConfigs(), down, HERE, recipe)
    assert (finding.outcome, str(finding.subject)) == ("fail", "Service sys/n")
    assert finding.location is not None
