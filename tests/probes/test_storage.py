"""Probes of storage, credentials and monitoring, against a real API server."""

import base64
import json
import time

import pytest

from dynocheck.facts import ClaimEvent, CsiNode, LabelSelector, NodeDriver, PodMonitors, SelectorExpression
from dynocheck.kube import Cluster, CredentialsFailed, find_connection
from dynocheck.probes.access.credentials import credentials
from tests import clusters
from tests.clusters import monitoring, platform, storage
from tests.clusters.objects import make_object
from tests.controlplane.certs import LIFE
from tests.controlplane.server import ControlPlane
from tests.probes.looking import PROBES, ask, look, reach


def test_drivers_of_nodes(cluster: ControlPlane) -> None:
    cluster.apply(
        storage.csi_driver("efs.csi.aws.com"),
        storage.csi_node("a", "ebs.csi.aws.com", keys=["topology.ebs.csi.aws.com/zone"]),
        storage.csi_node("b"),
    )
    seen = look("csi_drivers", cluster)
    assert seen.names == ("efs.csi.aws.com",)
    driver = NodeDriver("ebs.csi.aws.com", ("topology.ebs.csi.aws.com/zone",))
    assert seen.nodes == (CsiNode("a", (driver,)), CsiNode("b"))
    registered = {name: seen.is_registered(f"{name}.csi.aws.com") for name in ("efs", "ebs", "nfs")}
    assert registered == {"efs": True, "ebs": True, "nfs": False}
    assert seen.find_topology_keys("ebs.csi.aws.com") == {"topology.ebs.csi.aws.com/zone"}


def test_volumes_with_class_claim_and_node_affinity(cluster: ControlPlane) -> None:
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}
    terms = [{"matchExpressions": [zone]}]
    spec = {
        "storageClassName": "fsx",
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": "1200Gi"},
        "nfs": {"server": "files.example", "path": "/models"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    }
    reserved = {**spec, "claimRef": {"namespace": "models", "name": "cache"}, "storageClassName": ""}
    for name, each in {"free": spec, "reserved": reserved}.items():
        cluster.apply(make_object("PersistentVolume", name, spec=each))
    volumes = look("persistent_volumes", cluster)
    assert {str(v.node_terms) for v in volumes} == {str(tuple(terms))}
    assert {(v.name, v.storage_class, v.access_modes, v.capacity, v.claim) for v in volumes} == {
        ("free", "fsx", ("ReadWriteMany",), "1200Gi", ""),
        ("reserved", "", ("ReadWriteMany",), "1200Gi", "models/cache"),
    }


def test_zones_of_a_class(cluster: ControlPlane) -> None:
    zones = {"key": "topology.gke.io/zone", "values": ["a", "b"]}
    labels = [zones, {"key": "topology.kubernetes.io/region", "values": ["r"]}]
    cluster.apply(clusters.storage_class(allowedTopologies=[{"matchLabelExpressions": labels}]))
    (seen,) = look("storage_classes", cluster)
    assert seen.zones == ("a", "b")


def test_claims_with_their_own_events(cluster: ControlPlane) -> None:
    here = cluster.namespace()
    before, _ = cluster.apply(storage.claim("weights", here, phase="Pending"), storage.claim("weights"))
    cluster.apply(storage.claim_event(before, "ProvisioningFailed", "of its namesake"))
    cluster.delete(before)
    path = f"/api/v1/namespaces/{here}/persistentvolumeclaims/weights"
    platform.merge(cluster, path, {"metadata": {"finalizers": None}})
    (made,) = cluster.apply(storage.claim("weights", here, storage_class="slow", phase="Pending"))
    second = storage.claim_event(made, "ProvisioningFailed", "no quota", last="2026-11-01T10:00:05Z")
    first = storage.claim_event(made, "Provisioning", "is provisioning", kind="Normal")
    second["metadata"]["name"] = "weights.2"
    cluster.apply(second, first)
    (seen,) = ask(PROBES["claims"], reach(cluster, namespace=here))
    assert (seen.name, seen.phase, seen.storage_class) == ("weights", "Pending", "slow")
    assert (seen.access_modes, seen.requested, seen.volume) == (("ReadWriteMany",), "100Gi", "")
    assert seen.events == (
        ClaimEvent("Normal", "Provisioning", "is provisioning", "2026-11-01T10:00:00Z"),
        ClaimEvent("Warning", "ProvisioningFailed", "no quota", "2026-11-01T10:00:05Z"),
    )


def test_claim_that_is_being_deleted(cluster: ControlPlane) -> None:
    (made,) = cluster.apply(storage.claim("held"))
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    cluster.delete(made)
    (seen,) = look("claims", cluster)
    assert seen.deleting


def test_no_prometheus_operator(cluster: ControlPlane) -> None:
    assert look("pod_monitors", cluster) == PodMonitors(served=False, collectors_served=False)


def test_namespaces_have_labels(cluster: ControlPlane) -> None:
    name = cluster.namespace()
    assert look("namespaces", cluster).find_labels(name) == {"kubernetes.io/metadata.name": name}


# Credentials


def test_client_certificate(cluster: ControlPlane) -> None:
    seen = look("credentials", cluster)
    (held,) = seen.items
    assert held.kind == "client certificate"
    assert 0 < LIFE.total_seconds() - held.left_s < 3600
    assert not seen.anonymous


def test_service_account_token(cluster: ControlPlane) -> None:
    user = cluster.service_account("robot", "default")
    (held,) = look("credentials", cluster, user).items
    assert held.kind == "token"
    assert 3500 < held.left_s <= 3600
    assert held.expires > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_token_is_not_in_the_fact(cluster: ControlPlane) -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": 1_700_000_000, "sub": "me"}).encode()).decode()
    token = f"eyJhbGciOiJub25lIn0.{payload}.c2lnbmF0dXJl"
    config = cluster.kubeconfig(token=token, client_certificate_data=None, client_key_data=None)
    seen = credentials(Cluster(find_connection(str(config)), timeout_s=5))
    assert payload not in repr(seen)
    (held,) = seen.items  # type: ignore[attr-defined]
    assert (held.kind, held.expires) == ("token", "2023-11-14T22:13:20Z")
    assert held.left_s < 0


def test_no_credentials(cluster: ControlPlane) -> None:
    config = cluster.kubeconfig(client_certificate_data=None, client_key_data=None)
    assert credentials(Cluster(find_connection(str(config)), timeout_s=5)).anonymous  # type: ignore[attr-defined]


def test_malformed_certificate(cluster: ControlPlane) -> None:
    config = cluster.kubeconfig(client_certificate_data=base64.b64encode(b"nonsense").decode())
    with pytest.raises(CredentialsFailed, match="not a certificate in PEM"):
        credentials(Cluster(find_connection(str(config)), timeout_s=5))


# The furnished cluster


def test_monitors_of_dynamo_with_their_collectors(fit_cluster: ControlPlane) -> None:
    other = monitoring.pod_monitor("other")
    other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    expression = {"key": "team", "operator": "In", "values": ["ml"]}
    fit_cluster.apply(other, monitoring.prometheus(podMonitorSelector={"matchExpressions": [expression]}))
    seen = look("pod_monitors", fit_cluster)
    assert sorted(each.name for each in seen.items) == ["dynamo-frontend", "dynamo-worker"]
    (collector,) = seen.collectors
    assert (collector.kind, collector.namespace, collector.name) == ("Prometheus", "monitoring", "prometheus")
    assert collector.monitors == LabelSelector(expressions=(SelectorExpression("team", "In", ("ml",)),))
    assert collector.namespaces is None
    assert collector.available
