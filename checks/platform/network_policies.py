"""platform.network-policy: traffic between Dynamo's pods, DNS and the API server against NetworkPolicies."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    CustomResourceDefinitions,
    Graph,
    Namespace,
    NetworkPolicies,
    NetworkPolicyPeer,
    NetworkPolicyRule,
    Recipes,
    all_hold,
    selects,
)

# CRDs of policies that may allow what a NetworkPolicy blocks; their objects are not read.
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
    """Traffic as seen by a pod whose policies may block it, with its labels; `admits` judges a rule."""

    what: str
    ingress: bool
    labels: Labels
    admits: Callable[[NetworkPolicyRule], bool]


@check("platform.network-policy", title="Network policies allow Dynamo's traffic")
def network_policy(
    policies: NetworkPolicies,
    namespace: Namespace,
    definitions: CustomResourceDefinitions,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """Frontends call workers, prefill and decode workers exchange KV blocks, and every pod needs cluster DNS
    and, for discovery, the API server. A policy that isolates a pod blocks all traffic that no policy allows.

    Traffic counts as blocked only when a policy certainly isolates the pod and no rule can allow it; a rule
    with an ipBlock can. It is a warning where policies of other kinds, which may allow it, are installed,
    or where no recipe shows that Dynamo will run in this namespace.

    Fix: kubectl describe networkpolicy -n NAMESPACE
    """
    if not len(policies):
        raise Skip("the namespace has no NetworkPolicy")
    if recipes is not None and not any(recipe.graphs for recipe in recipes):
        raise Skip("the recipe has no graph")
    other = next((name for name in _OTHERS if definitions.find(name) is not None), None)
    reported = set()
    for flow in _list_flows(namespace, recipes):
        blocking = _find_blocking(policies, flow)
        if not blocking or flow.what in reported:
            continue
        reported.add(flow.what)
        direction = "ingress" if flow.ingress else "egress"
        unless = f", unless one of the {other.partition('.')[0]} does" if other else ""
        yield (warn if other or not recipes else fail)(
            f"isolates pods, and no policy allows {direction} for {flow.what}{unless}",
            fix=f"kubectl describe networkpolicy -n {namespace.name} {blocking[0]}",
            evidence={"isolating": blocking},
            subject=Subject("NetworkPolicy", blocking[0], namespace.name),
        )


def _find_blocking(policies: NetworkPolicies, flow: _Flow) -> list[str]:
    """The names of the policies that block a flow; empty when it may be allowed."""
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
    """The traffic of the recipe's pods; without a recipe, of a frontend and a worker with unknown labels."""
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
        return "traffic from frontends to workers"
    if {caller, called} == {"prefill", "decode"}:
        return "traffic between prefill and decode workers"
    return None


def _list_pods(graph: Graph) -> list[tuple[str, Labels]]:
    """The role of each component of a graph, with the pod labels that both API versions set."""
    name = {f"{_PREFIX}-graph-deployment-name": graph.name}
    return [
        (c.role, {**name, f"{_PREFIX}-component-type": c.role} if c.role == "frontend" else name)
        for c in graph.components
    ]


def _make_pod_matcher(namespace: Namespace, labels: Labels) -> Callable[[NetworkPolicyRule], bool]:
    """A function: whether a rule may allow pods of this namespace with these labels, on some port."""

    def matches(peer: NetworkPolicyPeer) -> bool:
        if peer.ip_block is not None:
            return True
        selector = peer.namespace_selector
        own = True if selector is None else selects(selector, namespace.labels, complete=True)
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

    on_dns_port = not rule.ports or any(
        port.port is None
        or isinstance(port.port, str)
        or any(port.port <= number <= (port.end_port or port.port) for number in _DNS_PORTS)
        for port in rule.ports
    )
    return on_dns_port and (not rule.peers or any(matches(peer) for peer in rule.peers))


def _allows_api(rule: NetworkPolicyRule) -> bool:
    """The API server is not a pod, so only rules without peers or with an ipBlock allow it."""
    return not rule.peers or any(peer.ip_block is not None for peer in rule.peers)
