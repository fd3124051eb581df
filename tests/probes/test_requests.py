"""What probes ask for: only to read, each thing once, no more than they say, and as little as will do."""

import json
import socket
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dynocheck.core import probing
from dynocheck.core.declarations import Probe
from dynocheck.facts import Access, Fact, Permissions, RequiredAccess
from dynocheck.kube import Forbidden
from dynocheck.probes.platform.definitions import definitions
from tests.clusters import gaie, platform, storage
from tests.clusters.objects import make_namespace, make_object
from tests.controlplane.access import User
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.kube.servers import Request, reply, serve
from tests.probes.looking import PROBES, ask, reach, rules, sources_of, with_access
from tests.probes.test_probes import definition

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ON_REQUEST = ("live_objects",)  # for a run with --select production, which reads what others read, but whole
USUAL = [probe for probe in PROBES.values() if probe.name not in ON_REQUEST]
ALL = tuple(sorted({access for probe in USUAL for access in probe.access}))
UNNAMED = [access for access in ALL if not access.names]


# A NATS that is not ready, whose claim is looked at.
WAITING = make_object(
    "apps/v1 StatefulSet",
    "dynamo-platform-nats",
    "default",
    labels={"app.kubernetes.io/name": "nats"},
    spec={
        "serviceName": "nats",
        "selector": {"matchLabels": {"app": "nats"}},
        "template": {
            "metadata": {"labels": {"app": "nats"}},
            "spec": {"containers": [{"name": "nats", "image": "nats:2"}]},
        },
    },
)


def gather(cluster: ControlPlane, user: User) -> dict[type[Fact], Fact]:
    """Every fact of a cluster, as a run gathers them that judges the cluster and not a recipe's manifests."""
    sources = {**sources_of(reach(cluster, user)), RequiredAccess: RequiredAccess(ALL)}
    of_manifests = ("served_kinds", "server_version")
    probes = [probe for probe in USUAL if probe.name not in of_manifests]
    knowledge = probing.gather(probes, sources, timeout_s=20)
    assert knowledge.missing == {}
    return knowledge.facts


def test_a_run_reads_each_thing_once_and_changes_nothing(fit_cluster: ControlPlane) -> None:
    fit_cluster.apply(storage.claim("waiting", phase="Pending"))  # of which events may tell why
    fit_cluster.apply(WAITING)
    reader = fit_cluster.user("reader", rules=rules(ALL))
    facts = gather(fit_cluster, reader)
    assert all(len(fact) for kind, fact in facts.items() if kind.__name__ in ("Nodes", "OperatorPods"))  # type: ignore[arg-type]
    assert all(review.allowed for review in facts[Permissions])  # type: ignore[attr-defined]
    events = fit_cluster.audit_events(reader)
    asked = Counter(f"{event['verb']} {event['requestURI']}" for event in events)
    assert asked.pop(f"create {REVIEWS}") == len(UNNAMED) + 1  # whether it may do everything, then each
    assert {asking for asking, times in asked.items() if times != 1} == set()
    paths = Counter(urlsplit(asking.split()[1]).path for asking in asked)
    assert paths.pop("/api/v1/pods") == 5  # by labels of the operator and of stores, and all that run
    assert paths.pop("/apis/apps/v1/deployments") == 2  # all, and by the label of operators
    assert paths.pop("/apis/apps/v1/statefulsets") == 2  # all, and by the labels of etcd and NATS
    assert paths.pop("/apis/coordination.k8s.io/v1/leases") == 2  # of operators, and of autoscalers
    assert paths.pop(f"/api/v1/namespaces/{gaie.SERVING}/pods") == 2  # of a pool, and of its picker
    assert {path for path, times in paths.items() if times != 1} == set()
    assert {"/version", "/apis"} <= set(paths)
    used = {access for event in events if (access := used_by(event)) is not None}
    assert {_right(access) for access in used} == {_right(access) for access in ALL}
    abroad = {_right(access) for access in ALL if not access.local}
    assert {_right(access) for access in used if not access.local} <= abroad


def test_who_may_do_everything_is_asked_about_once(cluster: ControlPlane) -> None:
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    user = cluster.user("root", rules=[everything])
    seen = ask(PROBES["permissions"], reach(cluster, user), ALL)
    assert [review.access for review in seen if review.allowed] == UNNAMED
    assert [event["requestURI"] for event in cluster.audit_events(user)] == [REVIEWS]


def _right(access: Access) -> tuple[str, str, str]:
    return access.verb, access.resource, access.group


def used_by(event: Object) -> Access | None:
    """The right that let a request through, if it took one."""
    about = event.get("objectRef", {})
    if "resource" not in about or event["requestURI"] == REVIEWS:
        assert event["verb"] in ("get", "create")
        return None
    return Access(event["verb"], about["resource"], about.get("apiGroup", ""), "namespace" in about)


def prepare(cluster: ControlPlane, probe: Probe, crds: Path) -> None:
    """Give a probe whose further questions depend on what it finds something to find."""
    match probe.name:
        case "claims":
            cluster.apply(storage.claim("waiting", phase="Pending"))
        case "definitions":
            cluster.apply(definition("unserved", served=[False]))
        case "inference_pools":
            cluster.load_crds(*(crds / folder for folder in gaie.CRDS))
            gaie.furnish(cluster)
        case "operator_configs":
            cluster.apply(make_namespace(platform.NAMESPACE), platform.operator())
        case "platform_claims":
            cluster.apply(WAITING)
        case "served_kinds":
            cluster.load_crds(*(crds / folder for folder in platform.CRDS))


# Rights without which a field of a fact is None.
NOT_NEEDED = {
    ("csi_drivers", "csistoragecapacities"): "capacities",
    ("resource_slices", "resourceclaims"): "allocated",
}


@pytest.mark.parametrize("probe", with_access(), ids=lambda probe: probe.name)
def test_a_probe_needs_the_rights_that_it_names_and_each_of_them(
    cluster: ControlPlane, crds: Path, probe: Probe
) -> None:
    prepare(cluster, probe, crds)
    enough = cluster.user("enough", rules=rules(probe.access))
    everything = ask(probe, reach(cluster, enough))
    if probe.name == "inference_pools":  # whose ConfigMaps have names of their own
        assert 'cannot get resource "configmaps"' in everything.items[0].picker.configs[0].unread
    for missing in probe.access:
        less = cluster.user(f"no-{missing.verb}", rules=rules(a for a in probe.access if a != missing))
        if (probe.name, missing.verb) == ("definitions", "get"):
            seen = definitions(reach(cluster, less)).find("unserved.example.com")  # type: ignore[attr-defined]
            assert "could not be read" in seen.reason
            assert seen.reason not in str(everything)
        elif probe.name == "served_kinds":
            assert f"cannot {missing.verb} resource" in ask(probe, reach(cluster, less)).reason
        elif probe.name == "live_objects":
            assert len(ask(probe, reach(cluster, less)).unseen) == 1
        elif probe.name == "operator_state":
            assert f"cannot {missing.verb} resource" in ask(probe, reach(cluster, less)).problem
        elif probe.name == "autoscalers":
            assert f"cannot {missing.verb} resource" in ask(probe, reach(cluster, less)).unseen
        elif (probe.name, missing.verb) == ("platform_claims", "get"):
            assert "cannot get resource" in ask(probe, reach(cluster, less)).unread
        elif field := NOT_NEEDED.get((probe.name, missing.resource)):
            assert getattr(ask(probe, reach(cluster, less)), field) is None
            assert getattr(everything, field) == ()
        else:
            with pytest.raises(Forbidden, match=f"cannot {missing.verb} resource"):
                ask(probe, reach(cluster, less))


@pytest.mark.parametrize("probe", [p for p in PROBES.values() if not p.access], ids=lambda probe: probe.name)
def test_a_probe_that_names_no_right_needs_none(cluster: ControlPlane, probe: Probe) -> None:
    ask(probe, reach(cluster, cluster.user("nobody")), ALL)


def test_schemas_are_left_where_they_are(fit_cluster: ControlPlane, tmp_path: Path) -> None:
    for name in ("large", "larger", "largest"):
        item = definition(name)
        item["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "words " * 150_000
        (tmp_path / f"{name}.yaml").write_text(json.dumps(item))
    fit_cluster.load_crds(tmp_path)
    real = fit_cluster.client(fit_cluster.admin)
    sizes = []

    def forward(request: Request, _: socket.socket) -> bytes:
        answer = real.get(request.target, headers={"Accept": request.headers["accept"]})
        assert b"openAPIV3Schema" not in answer.content
        sizes.append(len(answer.content))
        return reply(answer.status_code, answer.content)

    with serve(forward) as server:
        seen = definitions(server.cluster(tmp_path, timeout_s=20))
    assert all(found.established for found in seen)  # type: ignore[attr-defined]
    whole = len(real.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").content)
    assert len(sizes) == 2
    assert sum(sizes) < 500_000 < whole / 4
