"""What `dynocheck rbac` prints is what a run needs: no less, and no more."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.command import CommandResult, interrupt, run_inside, start, until
from tests.controlplane.access import User
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

PICKED = ("--configmap", "qwen-epp-config")  # of the endpoint picker
RECIPE = "recipes/qwen3-32b"
WITH_RECIPE = ("preflight", "--recipe", RECIPE)
VERSION = "rbac.authorization.k8s.io/v1"
SENSITIVE = {"configmaps", "leases", "secrets", "persistentvolumeclaims"}
# Needed only where an autoscaler might add nodes, or an etcd or NATS is not ready.
OCCASIONAL = {"cluster-autoscaler-status", "data-dynamo-platform-etcd-0"}


@pytest.fixture
def robot(fit_cluster: ControlPlane) -> User:
    """A service account with what `dynocheck rbac` prints, applied as its help says."""
    user = fit_cluster.service_account("robot", "default")
    printed = run_inside("rbac", "--bind", "serviceaccount:default:robot", "--name", "look", *PICKED)
    for document in yaml.safe_load_all(printed.out):
        if document["kind"] in ("Role", "RoleBinding"):
            document["metadata"]["namespace"] = "default"
        fit_cluster.apply(document)
    until(lambda: "unknown" not in judge(fit_cluster, user).outcomes.values())
    return user


def judge(cluster: ControlPlane, user: User | None, *arguments: str) -> CommandResult:
    words = arguments or ("preflight",)
    return run_inside(*words, "--kubeconfig", cluster.kubeconfig(user), "-o", "json")


def without_expiry(result: CommandResult) -> dict[str, str]:
    """The outcomes without the check of credentials: a token expires earlier than a certificate."""
    return {check: outcome for check, outcome in result.outcomes.items() if check != "access.credentials"}


def list_roles() -> dict[str, list[Object]]:
    return {role["kind"]: role["rules"] for role in yaml.safe_load_all(run_inside("rbac", *PICKED).out)}


@pytest.mark.parametrize("words", ["preflight", f"preflight --recipe {RECIPE}", f"recipe {RECIPE} --cluster"])
def test_the_printed_roles_are_enough(fit_cluster: ControlPlane, robot: User, words: str) -> None:
    expected = without_expiry(judge(fit_cluster, None, *words.split()))
    before = len(fit_cluster.audit_events(robot))
    assert without_expiry(judge(fit_cluster, robot, *words.split())) == expected
    events = fit_cluster.audit_events(robot)[before:]
    assert [event["requestURI"] for event in events if event["responseStatus"]["code"] == 403] == []
    written = {event["objectRef"]["resource"] for event in events if event["verb"] not in ("get", "list")}
    assert written <= {"selfsubjectaccessreviews"}


def test_contents_are_read_by_name_or_in_one_namespace() -> None:
    rules = list_roles()["ClusterRole"]
    wide = [rule for rule in rules if SENSITIVE & {*rule["resources"]} and not rule.get("resourceNames")]
    assert wide == []
    assert not any("*" in rule[part] for rule in rules for part in ("resources", "verbs", "apiGroups"))


def list_rights() -> Iterator[tuple[str, int, str]]:
    for kind, rules in list_roles().items():
        for number, rule in enumerate(rules):
            yield from ((kind, number, resource) for resource in rule["resources"])


RIGHTS = list(list_rights())
SAMPLE = random.Random(14).sample(RIGHTS, 3)


@pytest.mark.parametrize(
    "right",
    [pytest.param(right, marks=() if right in SAMPLE else pytest.mark.verify) for right in RIGHTS],
    ids=lambda right: "-".join(map(str, right)),
)
def test_without_a_right_nothing_passes_that_needs_it(
    fit_cluster: ControlPlane, robot: User, right: tuple[str, int, str]
) -> None:
    kind, number, resource = right
    complete = judge(fit_cluster, robot, *WITH_RECIPE)
    rules: Any = [dict(rule) for rule in list_roles()[kind]]
    names = rules[number].get("resourceNames", ())
    rules[number]["resources"] = [each for each in rules[number]["resources"] if each != resource] or ["none"]
    metadata = {"name": "look"} | ({"namespace": "default"} if kind == "Role" else {})
    fit_cluster.apply({"apiVersion": VERSION, "kind": kind, "metadata": metadata, "rules": rules})
    if OCCASIONAL & {*names} and "dynamo-platform-dynamo-operator-config" not in names:
        return
    until(lambda: "unknown" in judge(fit_cluster, robot, *WITH_RECIPE).outcomes.values())
    less = judge(fit_cluster, robot, *WITH_RECIPE)
    changed = {check: now for check, now in less.outcomes.items() if now != complete.outcomes[check]}
    assert {*changed.values()} == {"unknown"}
    assert less.code == 3
    assert all(resource in str(less.findings(check)) for check in changed)


def test_a_look_at_the_nodes_that_is_interrupted_tells_of_them_and_needs_no_more(
    fit_cluster: ControlPlane,
) -> None:
    user = fit_cluster.service_account("looker", "default")
    printed = run_inside("rbac", "--node", "--bind", "serviceaccount:default:looker", "--name", "nodes")
    for document in yaml.safe_load_all(printed.out):
        if document["kind"] in ("Role", "RoleBinding"):
            document["metadata"]["namespace"] = "default"
        fit_cluster.apply(document)
    until(lambda: fit_cluster.kubectl("get", "nodes", user=user).returncode == 0)
    words = ("--apply", "-n", "default", "--image", "i", "--kubeconfig", fit_cluster.kubeconfig(user))
    with start("node", "--cluster", *words, "-o", "json") as process:
        said = iter(process.stderr or ())
        until(lambda: "gpu-3: it has no pod yet" in next(said))
        ended = interrupt(process)
    found = ended.findings("node.reached")
    assert {each["subject"]["name"] for each in found} == {"gpu-1", "gpu-2", "gpu-3"}
    assert {each["outcome"] for each in found} == {"unknown"}
    refused = [e for e in fit_cluster.audit_events(user) if e["responseStatus"]["code"] == 403]
    assert {event["objectRef"]["resource"] for event in refused} <= {"nodes"}  # before the role was in force
    left = fit_cluster.get("/api/v1/namespaces/default/serviceaccounts")["items"]  # which owns the DaemonSet
    assert [each for each in left if each["metadata"]["name"].startswith("dynocheck-node")] == []
