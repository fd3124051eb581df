from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import etcd_nats
from dynocheck.facts import CustomResourceDefinitions, OperatorConfig, OperatorConfigs, ServiceEndpoints
from tests.checks.judging import get_skip_reason, outcomes, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph
from tests.checks.platform import HERE

GPU = "nvidia.com/gpu"
NO_TYPES = CustomResourceDefinitions()


NATS = "nats://n.sys.svc.cluster.local:4222"


@pytest.mark.parametrize(
    ("address", "ready", "expected"),
    [
        (NATS, {"sys/n": 1}, []),
        (NATS, {"sys/n": 0}, ["fail"]),
        (NATS, {}, ["warn"]),
        ("user:word@n.sys.svc:4222", {"sys/n": 0}, ["fail"]),
        ("etcd-0.sys.svc:2379,etcd-1.sys.svc:2379", {"sys/etcd-0": 1, "sys/etcd-1": 0}, ["fail"]),
        ("n", {"sys/n": 0}, ["fail"]),
    ],
)
def test_addresses_of_the_operator(address: str, ready: dict[str, int], expected: list[str]) -> None:
    configs = OperatorConfigs((OperatorConfig(namespace="sys", name="c", nats=address),))
    judged = outcomes(etcd_nats.etcd_nats, configs, ServiceEndpoints(ready), HERE, None)
    assert judged == expected


def test_neither_is_needed_and_outside_addresses_are_not_judged(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, a=dump_objects(graph(engine())))
    assert get_skip_reason(etcd_nats.etcd_nats, OperatorConfigs(), ServiceEndpoints(), HERE, recipe)
    outside = OperatorConfigs(
        (OperatorConfig(namespace="sys", name="c", etcd="http://etcd.example.com:2379"),)
    )
    assert get_skip_reason(etcd_nats.etcd_nats, outside, ServiceEndpoints(), HERE, None)


def test_addresses_of_a_recipe(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, a=dump_objects(graph(engine(env={"NATS_SERVER": NATS}))))
    down = ServiceEndpoints({"sys/n": 0})
    (finding,) = run_check(etcd_nats.etcd_nats, OperatorConfigs(), down, HERE, recipe)
    assert (str(finding.outcome), str(finding.subject)) == ("fail", "Service sys/n")
    assert finding.location is not None
