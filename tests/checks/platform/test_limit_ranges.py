"""What the namespace of a run refuses, limits and lacks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.capacity import quota as quotas
from dynocheck.checks.platform import etcd_nats, limit_ranges, network_policies, pod_security, secrets
from dynocheck.facts import CustomResourceDefinition, CustomResourceDefinitions, Recipes
from dynocheck.facts.k8s.capacity import LimitRangeItem, NamespaceLimits, Quota, RunningPods
from dynocheck.facts.k8s.label_selectors import Selector, SelectorExpression
from dynocheck.facts.k8s.namespace_policy import (
    IpBlock,
    NamedSecret,
    NamedSecrets,
    Namespace,
    NetworkPolicies,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
)
from dynocheck.facts.k8s.platform import OperatorConfig, OperatorConfigs, ServiceEndpoints
from dynocheck.facts.k8s.pods import find_secret_references
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

GPU = "nvidia.com/gpu"
NO_TYPES = CustomResourceDefinitions()
HERE = Namespace("default", labels={"kubernetes.io/metadata.name": "default"})
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: fetch}
spec:
  template:
    spec:
      containers:
      - name: main
        image: python:3.12-slim
        %s
"""
LEGACY = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: old}
spec:
  services:
    Worker:
      envFromSecret: hf-token-secret
      resources: {limits: {gpu: "1", memory: 64Gi, cpu: "8"}}
      extraPodSpec:
        imagePullSecrets: [{name: pull}]
        mainContainer: {image: "registry.example/vllm-runtime:1.3.0"}
"""


def job(folder: Path, line: str) -> Recipes:
    return recipes(folder, job=JOB % line)


# platform.secrets


def test_which_secrets_a_recipe_names(tmp_path: Path) -> None:
    brought = 'apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {A: "b"}\n'
    line = (
        "env: [{name: T, valueFrom: {secretKeyRef: {name: tok, key: K, optional: true}}}]\n"
        "        envFrom: [{secretRef: {name: own}}, {secretRef: {name: all}}]"
    )
    mine = recipes(tmp_path, a=LEGACY, job=JOB % line, own=brought)
    named = {(r.name, r.key, r.optional, r.pull) for r in find_secret_references(mine)}
    assert named == {
        ("pull", None, False, True),
        ("hf-token-secret", None, False, False),
        ("tok", "K", True, False),
        ("all", None, False, False),
    }


@pytest.mark.parametrize(
    "maker",
    [
        "kind: SealedSecret\nmetadata: {name: tok}",
        "kind: ExternalSecret\nmetadata: {name: tok}\nspec: {target: {creationPolicy: Owner}}",
        "kind: ExternalSecret\nmetadata: {name: other}\nspec: {target: {name: tok}}",
        "kind: VaultStaticSecret\nmetadata: {name: other}\nspec: {destination: {name: tok, create: true}}",
        "kind: Certificate\nmetadata: {name: other}\nspec: {secretName: tok}",
    ],
)
def test_secrets_that_operators_make_of_the_recipe(tmp_path: Path, maker: str) -> None:
    text = JOB % "envFrom: [{secretRef: {name: tok}}]"
    mine = recipes(tmp_path, job=text, maker=f"apiVersion: example.com/v1\n{maker}\n")
    assert find_secret_references(mine) == ()
    assert len(find_secret_references(recipes(tmp_path / "alone", job=text))) == 1


def test_secrets_that_are_there_and_are_not(tmp_path: Path) -> None:
    mine = recipes(tmp_path, a=LEGACY)
    token = NamedSecret("default", "hf-token-secret", type="Opaque", keys=("HF_TOKEN",))
    pull = NamedSecret("default", "pull", type="kubernetes.io/dockercfg")
    assert list_messages(secrets.secrets, NamedSecrets((token, pull)), HERE, mine) == []
    gone = NamedSecrets(tuple(NamedSecret("default", s.name, exists=False) for s in (token, pull)))
    outcomes = {
        f.subject.name: str(f.outcome) for f in run_check(secrets.secrets, gone, HERE, mine) if f.subject
    }
    assert outcomes == {"hf-token-secret": "fail", "pull": "warn"}


def test_secrets_of_another_recipe_than_the_one_recorded_are_unknown(tmp_path: Path) -> None:
    mine = recipes(tmp_path, a=LEGACY)
    assert {o for o, _ in list_messages(secrets.secrets, NamedSecrets(), HERE, mine)} == {"unknown"}


def test_an_optional_secret_may_be_missing(tmp_path: Path) -> None:
    mine = job(tmp_path, "env: [{name: T, valueFrom: {secretKeyRef: {name: t, key: K, optional: true}}}]")
    assert (
        list_messages(secrets.secrets, NamedSecrets((NamedSecret("default", "t", exists=False),)), HERE, mine)
        == []
    )
    assert get_skip_reason(secrets.secrets, NamedSecrets(), HERE, job(tmp_path, "env: []"))


# platform.quota and platform.limit-range


def container(*quotas: Quota, **entry: dict[str, str]) -> NamespaceLimits:
    return NamespaceLimits("default", quotas, (LimitRangeItem(range="small", type="Container", **entry),))


def counting(*scopes: str, **hard: str) -> Quota:
    return Quota(name="team", hard={k.replace("_", "."): v for k, v in hard.items()}, scopes=scopes)


MEMORY = counting(limits_memory="1Ti")
COUNTED = NamespaceLimits("default", (MEMORY,))


def test_a_quota_wants_amounts_stated(tmp_path: Path) -> None:
    silent = job(tmp_path, "command: [sleep]")
    ((outcome, message),) = list_messages(limit_ranges.quota, COUNTED, silent)
    assert outcome == "fail"
    assert "states no limits.memory" in message
    filled = container(MEMORY, default={"memory": "4Gi"}, default_request={"memory": "4Gi"})
    assert list_messages(limit_ranges.quota, filled, silent) == []
    assert (
        list_messages(limit_ranges.quota, COUNTED, job(tmp_path, "resources: {limits: {memory: 1Gi}}")) == []
    )
    counts_requests = NamespaceLimits("default", (counting(requests_memory="1Ti"),))
    by_limit = job(tmp_path, "resources: {limits: {memory: 1Gi}}")
    assert list_messages(limit_ranges.quota, counts_requests, by_limit) == []


def test_a_quota_of_other_things_wants_nothing(tmp_path: Path) -> None:
    silent = job(tmp_path, "command: [sleep]")
    gpus = Quota(name="gpus", hard={"requests.nvidia.com/gpu": "8", "pods": "10"})
    assert get_skip_reason(limit_ranges.quota, NamespaceLimits("default", (gpus,)), silent)
    scoped = NamespaceLimits("default", (counting("NotBestEffort", limits_memory="1Ti"),))
    assert list_messages(limit_ranges.quota, scoped, silent) == []
    half = job(tmp_path / "half", "resources: {requests: {cpu: '1'}}")
    assert [outcome for outcome, _ in list_messages(limit_ranges.quota, scoped, half)] == ["fail"]


def test_what_a_quota_demands_is_told_once(tmp_path: Path) -> None:
    graph = recipes(tmp_path, a=GRAPH + worker())
    used = NamespaceLimits("default", (msgspec.structs.replace(MEMORY, used={"limits.memory": "0"}),))
    assert list_messages(limit_ranges.quota, used, graph) == [
        (
            "fail",
            "component w, container main, states no limits.memory, "
            "which quota team demands of every container",
        )
    ]
    assert list_messages(quotas.quota_fits, graph, used, RunningPods()) == []


def test_pods_for_another_namespace_are_not_held_against_this_one(tmp_path: Path) -> None:
    elsewhere = recipes(tmp_path, job=JOB.replace("fetch", "fetch, namespace: other") % "command: [sleep]")
    assert (
        get_skip_reason(limit_ranges.quota, COUNTED, elsewhere)
        == "no pod of the recipe goes to namespace default"
    )


@pytest.mark.parametrize(
    ("entry", "resources", "outcomes"),
    [
        ({"max": {"memory": "32Gi"}}, "{limits: {memory: 64Gi}}", ["fail"]),
        ({"max": {"memory": "64Gi"}}, "{limits: {memory: 64Gi}}", []),
        ({"max": {"cpu": "4"}, "default": {"cpu": "4"}}, "{requests: {cpu: 4500m}}", ["fail"]),
        ({"min": {"cpu": "2"}}, "{requests: {cpu: '1'}}", ["fail"]),
        ({"default": {"memory": "512Mi"}}, "{requests: {memory: 1Gi}}", ["fail"]),
        ({"default": {"memory": "512Mi"}}, "{limits: {nvidia.com/gpu: 1}}", ["warn"]),
        ({"default": {"memory": "512Mi"}}, "{limits: {nvidia.com/gpu: 1, memory: 64Gi}}", []),
        ({"default": {"memory": "512Mi"}}, "{}", []),
        ({"max": {"nvidia.com/gpu": "4"}}, "{limits: {nvidia.com/gpu: '8'}}", ["fail"]),
        ({"max": {"memory": "32Gi"}}, "{limits: {memory: lots}}", ["warn"]),
        ({"max": {"memory": "32Gi"}}, "[1]", ["warn"]),
    ],
)
def test_limit_ranges(
    tmp_path: Path, entry: dict[str, dict[str, str]], resources: str, outcomes: list[str]
) -> None:
    mine = job(tmp_path, f"resources: {resources}")
    assert [o for o, _ in list_messages(limit_ranges.limit_range, container(**entry), mine)] == outcomes


def test_a_component_that_does_not_fit_the_schema_is_not_judged(tmp_path: Path) -> None:
    wrong = recipes(tmp_path, a=LEGACY.replace("mainContainer: {image: ", "mainContainer: text  # {image: "))
    allowed = container(MEMORY, max={"memory": "32Gi"})
    for check in (limit_ranges.quota, limit_ranges.limit_range):
        assert list_messages(check, allowed, wrong) == [
            ("warn", "component Worker: not judged: its manifest does not fit the schema")
        ]


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (
            LimitRangeItem(range="r", type="Container", max={GPU: "4"}),
            ", container main: has 8 nvidia.com/gpu, more",
        ),
        (
            LimitRangeItem(range="r", type="Container", max={"cpu": "4"}),
            ", container main: states no limit of cpu",
        ),
        (
            LimitRangeItem(range="r", type="Container", min={GPU: "9"}),
            ", container main: has 8 nvidia.com/gpu, less",
        ),
        (LimitRangeItem(range="r", type="Container", min={"cpu": "1"}), ", container main: states no cpu"),
        (
            LimitRangeItem(range="r", type="Pod", max={GPU: "4"}),
            ": has 8 nvidia.com/gpu, more than the maximum 4",
        ),
        (LimitRangeItem(range="r", type="Container", ratio={"cpu": "2"}), "or lacks either"),
        (LimitRangeItem(range="r", type="Container", ratio={GPU: "2"}), None),
    ],
)
def test_a_limit_range_and_a_graph(tmp_path: Path, limit: LimitRangeItem, says: str | None) -> None:
    graph = recipes(tmp_path, a=GRAPH + worker(gpus='"8"'))
    findings = run_check(limit_ranges.limit_range, NamespaceLimits("default", limits=(limit,)), graph)
    assert [str(finding.outcome) for finding in findings] == (["fail"] if says else [])
    assert says is None or says in findings[0].message.removeprefix("component w")


def test_a_limit_range_and_what_v1alpha1_keeps_around_its_pod(tmp_path: Path) -> None:
    mine = recipes(tmp_path, a=LEGACY)
    (finding,) = run_check(limit_ranges.limit_range, container(max={"memory": "32Gi"}), mine)
    assert finding.message == "component Worker, container main: has 64Gi memory, more than the maximum 32Gi"
    assert finding.location is not None
    assert finding.location.line == 1 + LEGACY[: LEGACY.index("{image:")].count("\n")
    claims = NamespaceLimits("default", limits=(LimitRangeItem(range="p", type="PersistentVolumeClaim"),))
    assert get_skip_reason(limit_ranges.limit_range, claims, mine)


# platform.network-policy

EVERYBODY = Selector()
DENY = NetworkPolicy(name="deny", ingress=(), egress=())
NOTHING_DEFINED = CustomResourceDefinitions()


def stopped(
    mine: Recipes, *given: NetworkPolicy, defined: CustomResourceDefinitions = NOTHING_DEFINED
) -> set[str]:
    findings = run_check(network_policies.network_policy, NetworkPolicies(given), HERE, defined, mine)
    return {f"{f.outcome} {f.message.partition(' allows ')[2]}" for f in findings}


@pytest.fixture
def graph(tmp_path: Path) -> Recipes:
    return recipes(tmp_path, a=GRAPH + FRONTEND + worker())


def test_a_policy_that_stops_everything(graph: Recipes) -> None:
    assert stopped(graph, DENY) == {
        "fail egress for frontends to workers",
        "fail egress for the cluster's DNS (port 53)",
        "fail egress for the API server, for discovery",
    }
    assert stopped(graph, NetworkPolicy(name="in", ingress=())) == {"fail ingress for frontends to workers"}
    assert get_skip_reason(network_policies.network_policy, NetworkPolicies(), HERE, NOTHING_DEFINED, graph)


def test_policies_of_other_kinds_may_let_it_through(graph: Recipes) -> None:
    crd = CustomResourceDefinition("ciliumnetworkpolicies.cilium.io", "cilium.io")
    outcomes = stopped(graph, DENY, defined=CustomResourceDefinitions((crd,)))
    assert {o.split()[0] for o in outcomes} == {"warn"}


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
def test_a_rule_that_may_let_everything_through(graph: Recipes, rule: NetworkPolicyRule) -> None:
    assert stopped(graph, DENY, NetworkPolicy(name="some", ingress=(rule,), egress=(rule,))) == set()


def test_a_policy_that_may_not_select_the_pods_is_not_held_against_them(graph: Recipes) -> None:
    of_a_team = Selector({"team": "other"})
    assert stopped(graph, NetworkPolicy(name="team", selector=of_a_team, ingress=(), egress=())) == set()
    other_graph = Selector({"nvidia.com/dynamo-graph-deployment-name": "another"})
    allows_another = NetworkPolicy(name="x", selector=other_graph, egress=(NetworkPolicyRule(),))
    assert stopped(graph, DENY, allows_another) == stopped(graph, DENY)


def test_rules_by_namespace_and_port(graph: Recipes) -> None:
    system = NetworkPolicyPeer(namespace_selector=Selector({"kubernetes.io/metadata.name": "kube-system"}))
    dns = "fail egress for the cluster's DNS (port 53)"

    def egress(*rules: NetworkPolicyRule) -> bool:
        return dns in stopped(graph, NetworkPolicy(name="out", egress=rules))

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
    inside = "fail ingress for frontends to workers"
    assert inside in stopped(graph, NetworkPolicy(name="in", ingress=(NetworkPolicyRule((not_here,)),)))


def test_prefill_and_decode_must_reach_each_other(tmp_path: Path) -> None:
    both = GRAPH + worker("p", role="prefill") + worker("d", role="decode")
    assert "fail ingress for prefill and decode workers to one another" in stopped(
        recipes(tmp_path, a=both), DENY, NetworkPolicy(name="out", egress=(NetworkPolicyRule(),))
    )


# platform.etcd-nats

NATS = "nats://n.sys.svc.cluster.local:4222"


@pytest.mark.parametrize(
    ("address", "ready", "outcomes"),
    [
        (NATS, {"sys/n": 1}, []),
        (NATS, {"sys/n": 0}, ["fail"]),
        (NATS, {}, ["warn"]),
        ("user:word@n.sys.svc:4222", {"sys/n": 0}, ["fail"]),
        ("etcd-0.sys.svc:2379,etcd-1.sys.svc:2379", {"sys/etcd-0": 1, "sys/etcd-1": 0}, ["fail"]),
        ("n", {"sys/n": 0}, ["fail"]),
    ],
)
def test_what_an_operator_was_told_to_use(address: str, ready: dict[str, int], outcomes: list[str]) -> None:
    configs = OperatorConfigs((OperatorConfig(namespace="sys", name="c", nats=address),))
    judged = list_messages(etcd_nats.etcd_nats, configs, ServiceEndpoints(ready), HERE, None)
    assert [o for o, _ in judged] == outcomes


def test_neither_is_needed_and_others_are_not_looked_at(graph: Recipes) -> None:
    assert get_skip_reason(etcd_nats.etcd_nats, OperatorConfigs(), ServiceEndpoints(), HERE, graph)
    outside = OperatorConfigs(
        (OperatorConfig(namespace="sys", name="c", etcd="http://etcd.example.com:2379"),)
    )
    assert get_skip_reason(etcd_nats.etcd_nats, outside, ServiceEndpoints(), HERE, None)


def test_what_a_recipe_names(tmp_path: Path) -> None:
    named = worker().replace(
        "resources:", f"env: [{{name: NATS_SERVER, value: '{NATS}'}}]\n          resources:"
    )
    mine = recipes(tmp_path, a=GRAPH + named)
    (finding,) = run_check(etcd_nats.etcd_nats, OperatorConfigs(), ServiceEndpoints({"sys/n": 0}), HERE, mine)
    assert finding.message == "has no ready endpoint, and w (NATS_SERVER) uses it"
    assert finding.location is not None


# platform.pod-security


def test_a_namespace_that_refuses_nothing(graph: Recipes) -> None:
    for labels in ({}, {"pod-security.kubernetes.io/enforce": "privileged"}):
        assert get_skip_reason(
            pod_security.pod_security, Namespace("default", labels=labels), NO_TYPES, graph
        )


def test_a_graph_in_a_restricted_namespace_is_a_warning(graph: Recipes) -> None:
    restricted = Namespace("default", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    judged = list_messages(pod_security.pod_security, restricted, NO_TYPES, graph)
    assert {outcome for outcome, _ in judged} == {"warn"}


OPENSHIFT = CustomResourceDefinitions(
    (
        CustomResourceDefinition(
            "securitycontextconstraints.security.openshift.io", "security.openshift.io", ("v1",), True
        ),
    )
)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("hostIPC: true", "hostIPC"),
        ("securityContext: {runAsUser: 0}", "runAsUser 0"),
        ("securityContext: {runAsUser: 1000}", "runAsUser 1000"),
        ("volumes: [{name: v, hostPath: {path: /models}}]", "a hostPath volume"),
        ("serviceAccountName: workers", ""),
    ],
)
def test_what_openshift_refuses(tmp_path: Path, field: str, says: str) -> None:
    text = GRAPH + FRONTEND + worker().replace("      spec:\n", f"      spec:\n        {field}\n")
    judged = run_check(
        pod_security.pod_security, Namespace("models"), OPENSHIFT, recipes(tmp_path, deploy=text)
    )
    assert [str(finding.outcome) for finding in judged] == (["warn"] if says else [])
    assert all(f"component w has {says}, which OpenShift refuses" in finding.message for finding in judged)
