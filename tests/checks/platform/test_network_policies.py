from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import network_policies
from dynocheck.facts import (
    CustomResourceDefinition,
    CustomResourceDefinitions,
    IpBlock,
    NetworkPolicies,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    Recipes,
    Selector,
    SelectorExpression,
)
from tests.checks.judging import get_skip_reason, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph
from tests.checks.platform import HERE

GPU = "nvidia.com/gpu"
NO_TYPES = CustomResourceDefinitions()


EVERYBODY = Selector()
TO_WORKERS = "traffic from frontends to workers"
DENY = NetworkPolicy(name="deny", ingress=(), egress=())
NOTHING_DEFINED = CustomResourceDefinitions()


def find_blocked(
    mine: Recipes, *policies: NetworkPolicy, defined: CustomResourceDefinitions = NOTHING_DEFINED
) -> set[str]:
    findings = run_check(network_policies.network_policy, NetworkPolicies(policies), HERE, defined, mine)
    return {f"{f.outcome} {f.message.partition(' allows ')[2]}" for f in findings}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipes:
    return recipes(tmp_path, a=dump_objects(graph(engine())))


def test_a_policy_that_blocks_everything(recipe: Recipes) -> None:
    assert find_blocked(recipe, DENY) == {
        f"fail egress for {TO_WORKERS}",
        "fail egress for the cluster's DNS (port 53)",
        "fail egress for the API server, for discovery",
    }
    assert find_blocked(recipe, NetworkPolicy(name="in", ingress=())) == {f"fail ingress for {TO_WORKERS}"}
    assert get_skip_reason(network_policies.network_policy, NetworkPolicies(), HERE, NOTHING_DEFINED, recipe)


def test_policies_of_other_kinds_may_allow_it(recipe: Recipes) -> None:
    crd = CustomResourceDefinition("ciliumnetworkpolicies.cilium.io", "cilium.io")
    blocked = find_blocked(recipe, DENY, defined=CustomResourceDefinitions((crd,)))
    assert {flow.split()[0] for flow in blocked} == {"warn"}


@pytest.mark.parametrize(
    "rule",
    [
        NetworkPolicyRule(),
        NetworkPolicyRule((NetworkPolicyPeer(ip_block=IpBlock("0.0.0.0/0")),)),
        NetworkPolicyRule(
            (NetworkPolicyPeer(pod_selector=EVERYBODY), NetworkPolicyPeer(ip_block=IpBlock("10.0.0.0/8")))
        ),
    ],
)
def test_a_rule_that_may_allow_everything(recipe: Recipes, rule: NetworkPolicyRule) -> None:
    assert find_blocked(recipe, DENY, NetworkPolicy(name="some", ingress=(rule,), egress=(rule,))) == set()


def test_a_policy_that_may_not_select_the_pods_does_not_count(recipe: Recipes) -> None:
    of_a_team = Selector({"team": "other"})
    assert (
        find_blocked(recipe, NetworkPolicy(name="team", selector=of_a_team, ingress=(), egress=())) == set()
    )
    other_graph = Selector({"nvidia.com/dynamo-graph-deployment-name": "another"})
    allows_another = NetworkPolicy(name="x", selector=other_graph, egress=(NetworkPolicyRule(),))
    assert find_blocked(recipe, DENY, allows_another) == find_blocked(recipe, DENY)


def test_rules_by_namespace_and_port(recipe: Recipes) -> None:
    system = NetworkPolicyPeer(namespace_selector=Selector({"kubernetes.io/metadata.name": "kube-system"}))
    dns = "fail egress for the cluster's DNS (port 53)"

    def egress(*rules: NetworkPolicyRule) -> bool:
        return dns in find_blocked(recipe, NetworkPolicy(name="out", egress=rules))

    assert not egress(NetworkPolicyRule((system,)))
    assert not egress(NetworkPolicyRule((system,), (NetworkPolicyPort(53, protocol="UDP"),)))
    assert not egress(NetworkPolicyRule((), (NetworkPolicyPort("dns"),)))
    assert not egress(NetworkPolicyRule((NetworkPolicyPeer(namespace_selector=Selector({"owner": "us"})),)))
    assert egress(NetworkPolicyRule((system,), (NetworkPolicyPort(443),)))
    assert egress(NetworkPolicyRule((NetworkPolicyPeer(pod_selector=EVERYBODY),)))
    elsewhere = NetworkPolicyPeer(namespace_selector=Selector({"kubernetes.io/metadata.name": "other"}))
    assert egress(NetworkPolicyRule((elsewhere,)))
    here = SelectorExpression("kubernetes.io/metadata.name", "NotIn", ("default",))
    not_here = NetworkPolicyPeer(namespace_selector=Selector(expressions=(here,)))
    inside = f"fail ingress for {TO_WORKERS}"
    assert inside in find_blocked(recipe, NetworkPolicy(name="in", ingress=(NetworkPolicyRule((not_here,)),)))


def test_prefill_and_decode_must_reach_each_other(tmp_path: Path) -> None:
    both = dump_objects(graph(engine(name="p", role="prefill"), engine(name="d", role="decode")))
    assert "fail ingress for traffic between prefill and decode workers" in find_blocked(
        recipes(tmp_path, a=both), DENY, NetworkPolicy(name="out", egress=(NetworkPolicyRule(),))
    )
