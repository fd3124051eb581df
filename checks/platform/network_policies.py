"""Whether the namespace's network policies let through what Dynamo's pods say to one another."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import CustomResourceDefinitions, Recipes
from dynocheck.facts.k8s.label_selectors import all_hold, selects
from dynocheck.facts.k8s.namespace_policy import (
    Namespace,
    NetworkPolicies,
    NetworkPolicyPeer,
    NetworkPolicyRule,
)
from dynocheck.facts.recipe.recipes import Graph

# Policies of these kinds may let through what a NetworkPolicy does not, and are not looked at.
_OTHERS = (
    "ciliumnetworkpolicies.cilium.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "adminnetworkpolicies.policy.networking.k8s.io",
    "clusternetworkpolicies.policy.networking.k8s.io",
    "clusternetworkpolicies.networking.k8s.aws",
    "clusternetworkpolicies.crd.antrea.io",
    "networkpolicies.crd.antrea.io",
    "globalnetworkpolicies.crd.projectcalico.org",
    "networkpolicies.crd.projectcalico.org",
    "globalnetworkpolicies.projectcalico.org",
    "networkpolicies.projectcalico.org",
)
_DNS_NAMESPACES = ("kube-system", "openshift-dns")
_DNS_PORTS = (53, 5353, 8053)  # a Service's port is translated before policies see it
_NO_WORKERS = ("frontend", "epp", "planner")
_PREFIX = "nvidia.com/dynamo"

Labels = dict[str, str]


class _Flow(NamedTuple):
    """A flow, from the side of the pod whose policies may stop it."""

    what: str
    ingress: bool
    labels: Labels
    admits: Callable[[NetworkPolicyRule], bool]


@check("platform.network-policy", title="Network policies let Dynamo's pods reach what they need")
def network_policy(
    policies: NetworkPolicies,
    namespace: Namespace,
    definitions: CustomResourceDefinitions,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """Frontends call workers, prefill and decode workers exchange blocks, and every pod asks the cluster's
    DNS and, for discovery, the API server. A policy that isolates a pod stops what no policy lets through.

    A flow is called stopped only when a policy certainly isolates the pod and no rule of any may let it
    through; a rule by addresses may. It is a warning where policies of other kinds, which may let it through,
    are installed, or where no recipe says that Dynamo is to run in this namespace.

    Fix: kubectl describe networkpolicy -n NAMESPACE
    """
    if not len(policies):
        raise Skip("the namespace has no NetworkPolicy")
    if recipes is not None and not any(recipe.graphs for recipe in recipes):
        raise Skip("the recipe has no graph")
    other = next((name for name in _OTHERS if definitions.find(name) is not None), None)
    told = set()
    for flow in _list_flows(namespace, recipes):
        stopping = _find_blocking(policies, flow)
        if not stopping or flow.what in told:
            continue
        told.add(flow.what)
        direction = "ingress" if flow.ingress else "egress"
        unless = f", unless a policy of kind {other.partition('.')[0]} lets it through" if other else ""
        yield (warn if other or not recipes else fail)(
            f"isolates pods, and no policy allows {direction} for {flow.what}{unless}",
            fix=f"kubectl describe networkpolicy -n {namespace.name} {stopping[0]}",
            evidence={"isolating": stopping},
            subject=Subject("NetworkPolicy", stopping[0], namespace.name),
        )


def _find_blocking(policies: NetworkPolicies, flow: _Flow) -> list[str]:
    """The policies that stop a flow; none when it may get through."""
    isolating = []
    for policy in policies:
        rules = policy.ingress if flow.ingress else policy.egress
        selected = selects(policy.selector, flow.labels)
        if rules is None or selected is False:
            continue
        if any(flow.admits(rule) for rule in rules):
            return []
        if selected:
            isolating.append(policy.name)
    return isolating


def _list_flows(namespace: Namespace, recipes: Recipes | None) -> Iterator[_Flow]:
    """What pods of the recipe say to whom, or, without one, pods of which nothing is known."""
    graphs: list[list[tuple[str, Labels]]] = [[("frontend", {}), ("worker", {})]]
    if recipes is not None:
        graphs = [_list_pods(graph) for recipe in recipes for graph in recipe.graphs]
    for ends in graphs:
        for (caller, source), (called, target) in product(ends, ends):
            what = _describe_flow(caller, called)
            if what is not None:
                yield _Flow(what, False, source, _make_pod_matcher(namespace, target))
                yield _Flow(what, True, target, _make_pod_matcher(namespace, source))
        for _, labels in ends:
            yield _Flow("the cluster's DNS (port 53)", False, labels, _allows_dns)
            yield _Flow("the API server, for discovery", False, labels, _allows_api)


def _describe_flow(caller: str, called: str) -> str | None:
    if caller == "frontend" and called not in _NO_WORKERS:
        return "frontends to workers"
    if {caller, called} == {"prefill", "decode"}:
        return "prefill and decode workers to one another"
    return None


def _list_pods(graph: Graph) -> list[tuple[str, Labels]]:
    """The components of a graph and what is known of their pods' labels in both API versions."""
    name = {f"{_PREFIX}-graph-deployment-name": graph.name}
    return [
        (each.role, {**name, f"{_PREFIX}-component-type": each.role} if each.role == "frontend" else name)
        for each in graph.components
    ]


def _make_pod_matcher(namespace: Namespace, labels: Labels) -> Callable[[NetworkPolicyRule], bool]:
    """Whether a rule may let through pods of this namespace with these labels, at some port."""

    def matches(peer: NetworkPolicyPeer) -> bool:
        if peer.ip_block is not None:
            return True
        there = peer.namespace_selector
        own = True if there is None else selects(there, namespace.labels, complete=True)
        pods = True if peer.pod_selector is None else selects(peer.pod_selector, labels)
        return all_hold((own, pods)) is not False

    return lambda rule: not rule.peers or any(matches(peer) for peer in rule.peers)


def _allows_dns(rule: NetworkPolicyRule) -> bool:
    def matches(peer: NetworkPolicyPeer) -> bool:
        if peer.namespace_selector is None:
            return peer.ip_block is not None
        return any(
            selects(peer.namespace_selector, {"kubernetes.io/metadata.name": name}) is not False
            for name in _DNS_NAMESPACES
        )

    at = not rule.ports or any(
        port.port is None
        or isinstance(port.port, str)
        or any(port.port <= wanted <= (port.end_port or port.port) for wanted in _DNS_PORTS)
        for port in rule.ports
    )
    return at and (not rule.peers or any(matches(peer) for peer in rule.peers))


def _allows_api(rule: NetworkPolicyRule) -> bool:
    """It is no pod, so only a rule for anybody or for addresses lets it through."""
    return not rule.peers or any(peer.ip_block is not None for peer in rule.peers)
