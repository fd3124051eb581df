from pathlib import Path

import pytest

from dynocheck.checks.platform import network_policies
from dynocheck.facts import (
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
from tests.checks.judging import crd, deploy, make_definitions, outcomes, run_check
from tests.checks.manifests import engine, graph
from tests.checks.platform import HERE

EVERYBODY = NetworkPolicyPeer(pod_selector=Selector())
TO_WORKERS = "traffic from frontends to workers"
NO_DNS = "fail egress for the cluster's DNS (port 53)"
DENY = NetworkPolicy(name="deny", ingress=(), egress=())
NOTHING = CustomResourceDefinitions()


def find_blocked(
    mine: Recipes, *policies: NetworkPolicy, defined: CustomResourceDefinitions = NOTHING
) -> set[str]:
    findings = run_check(network_policies.network_policy, NetworkPolicies(policies), HERE, defined, mine)
    return {f"{f.outcome} {f.message.partition(' allows ')[2]}" for f in findings}


def namespaces(**labels: str) -> NetworkPolicyPeer:
    """The pods of namespaces with a label; `name` is that of the namespace itself."""
    keys = {"name": "kubernetes.io/metadata.name"}
    return NetworkPolicyPeer(namespace_selector=Selector({keys.get(k, k): v for k, v in labels.items()}))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipes:
    return deploy(tmp_path, graph(engine()))


def test_a_policy_that_blocks_everything(recipe: Recipes) -> None:
    api = "fail egress for the API server, for discovery"
    assert find_blocked(recipe, DENY) == {f"fail egress for {TO_WORKERS}", NO_DNS, api}
    assert find_blocked(recipe, NetworkPolicy(name="in", ingress=())) == {f"fail ingress for {TO_WORKERS}"}
    assert outcomes(network_policies.network_policy, NetworkPolicies(), HERE, NOTHING, recipe) == ["skip"]


def test_policies_of_other_kinds_may_allow_it(recipe: Recipes) -> None:
    cilium = make_definitions(crd("ciliumnetworkpolicies.cilium.io"))
    assert {flow.split()[0] for flow in find_blocked(recipe, DENY, defined=cilium)} == {"warn"}


@pytest.mark.parametrize(
    "peers",
    [
        (),
        (NetworkPolicyPeer(ip_block=IpBlock("0.0.0.0/0")),),
        (EVERYBODY, NetworkPolicyPeer(ip_block=IpBlock("10.0.0.0/8"))),
    ],
)
def test_a_rule_that_may_allow_everything(recipe: Recipes, peers: tuple[NetworkPolicyPeer, ...]) -> None:
    rules = (NetworkPolicyRule(peers),)
    assert find_blocked(recipe, DENY, NetworkPolicy(name="some", ingress=rules, egress=rules)) == set()


def test_a_policy_that_may_not_select_the_pods_does_not_count(recipe: Recipes) -> None:
    of_a_team = NetworkPolicy(name="team", selector=Selector({"team": "other"}), ingress=(), egress=())
    assert find_blocked(recipe, of_a_team) == set()
    other_graph = Selector({"nvidia.com/dynamo-graph-deployment-name": "another"})
    allows_another = NetworkPolicy(name="x", selector=other_graph, egress=(NetworkPolicyRule(),))
    assert find_blocked(recipe, DENY, allows_another) == find_blocked(recipe, DENY)


SYSTEM = namespaces(name="kube-system")


@pytest.mark.parametrize(
    ("rule", "blocked"),
    [
        (NetworkPolicyRule((SYSTEM,)), False),
        (NetworkPolicyRule((SYSTEM,), (NetworkPolicyPort(53, protocol="UDP"),)), False),
        (NetworkPolicyRule((), (NetworkPolicyPort("dns"),)), False),
        (NetworkPolicyRule((namespaces(owner="us"),)), False),
        (NetworkPolicyRule((SYSTEM,), (NetworkPolicyPort(443),)), True),
        (NetworkPolicyRule((EVERYBODY,)), True),
        (NetworkPolicyRule((namespaces(name="other"),)), True),
    ],
)
def test_rules_for_the_dns_by_namespace_and_port(
    recipe: Recipes, rule: NetworkPolicyRule, blocked: bool
) -> None:
    assert (NO_DNS in find_blocked(recipe, NetworkPolicy(name="out", egress=(rule,)))) is blocked


def test_a_rule_for_other_namespaces(recipe: Recipes) -> None:
    elsewhere = SelectorExpression("kubernetes.io/metadata.name", "NotIn", ("default",))
    rule = NetworkPolicyRule((NetworkPolicyPeer(namespace_selector=Selector(expressions=(elsewhere,))),))
    blocked = find_blocked(recipe, NetworkPolicy(name="in", ingress=(rule,)))
    assert f"fail ingress for {TO_WORKERS}" in blocked


def test_prefill_and_decode_must_reach_each_other(tmp_path: Path) -> None:
    both = deploy(tmp_path, graph(engine(name="p", role="prefill"), engine(name="d", role="decode")))
    blocked = find_blocked(both, DENY, NetworkPolicy(name="out", egress=(NetworkPolicyRule(),)))
    assert "fail ingress for traffic between prefill and decode workers" in blocked
