"""What the probes of the platform and of the run's namespace see of a real API server."""

import base64
import datetime
import time
from typing import Any

import pytest

from dynocheck.facts import (
    NamedSecret,
    NetworkPolicyPort,
    NetworkPolicyRule,
    OperatorConfig,
    ServiceName,
)
from dynocheck.kube import Forbidden
from dynocheck.probes.platform.installation import _parse_certificates
from tests.clusters import platform
from tests.clusters.objects import make_object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import look


def test_a_webhook_and_its_bundle(cluster: ControlPlane) -> None:
    in_a_week = platform.bundle(datetime.timedelta(days=7))
    cluster.apply(platform.admission(in_a_week), platform.admission(None, "Mutating", policy="Ignore"))
    seen = look("admission_webhooks", cluster)
    validating, mutating = seen
    assert validating.service == ServiceName(platform.NAMESPACE, platform.SERVICE)
    assert (validating.blocking, mutating.blocking, mutating.bundle) == (True, False, None)
    assert validating.bundle.count == 1
    (expiry,) = validating.bundle.expiries
    assert expiry == pytest.approx(time.time() + 7 * 86400, abs=60)
    assert seen.looked == pytest.approx(time.time(), abs=60)


def test_webhooks_of_others_are_left_alone(cluster: ControlPlane) -> None:
    other = platform.admission(platform.bundle())
    other["metadata"]["name"] = "gpu-operator"
    other["webhooks"][0]["rules"][0]["resources"] = ["clusterpolicies"]
    cluster.apply(other)
    assert len(look("admission_webhooks", cluster)) == 0


IN_LAB = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["lab"]}


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"kubernetes.io/metadata.name": "lab"}},
        {"matchExpressions": [IN_LAB, {"key": "other", "operator": "Exists"}]},
    ],
)
def test_a_webhook_of_one_namespace(cluster: ControlPlane, selector: dict[str, Any]) -> None:
    cluster.apply(platform.admission(None, **selector))
    (seen,) = look("admission_webhooks", cluster)
    assert seen.namespaces == ("lab",)


def test_a_bundle_that_is_none() -> None:
    broken = (b"nothing", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for text in ("not base64!", *(base64.b64encode(each).decode() for each in broken)):
        found = _parse_certificates(text)
        assert found is not None
        assert found.problem
    two = b"\n".join(base64.b64decode(platform.bundle(datetime.timedelta(days=d))) for d in (-1, 30))
    found = _parse_certificates(base64.b64encode(two).decode())
    assert found is not None
    assert (found.count, len(found.expiries), found.problem) == (2, 2, "")


def test_configurations_say_whom_an_operator_serves(cluster: ControlPlane) -> None:
    here = cluster.namespace()
    text = platform.CONFIG + "namespace: {restricted: lab}\ninfrastructure: {natsAddress: 'nats://n:4222'}\n"
    texts = {"a": text, "broken": "a: [", "other": "kind: Another"}
    for instance, content in texts.items():
        cluster.apply(
            platform.operator(namespace=here, instance=instance),
            platform.config(content, namespace=here, instance=instance),
        )
    cluster.apply(platform.operator(namespace=here, instance="without"))
    (seen,) = look("operator_configs", cluster)
    says: Any = {"restricted": "lab", "grove": True, "kai": True, "nats": "nats://n:4222"}
    name = "a-dynamo-operator-config"
    assert seen == OperatorConfig(namespace=here, name=name, instance="a", **says)


def test_only_the_claims_of_operators_are_seen(cluster: ControlPlane) -> None:
    for name in ("dynamo-operator-namespace-scope", "another"):
        spec = {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 45}
        cluster.apply(make_object("coordination.k8s.io/v1 Lease", name, "default", spec=spec))
    (seen,) = look("operator_leases", cluster)
    ends = datetime.datetime(2026, 1, 1, 0, 0, 45, tzinfo=datetime.UTC)
    assert (seen.namespace, seen.until) == ("default", ends.timestamp())


def test_endpoints_are_counted_by_service(cluster: ControlPlane) -> None:
    unsaid = platform.endpoints("b", "default")
    unsaid["endpoints"] = [{"addresses": ["10.1.0.1"]}, {"addresses": ["10.1.0.2"], "conditions": {}}]
    cluster.apply(platform.endpoints("a", "default"), platform.endpoints("c", "default", ready=0), unsaid)
    seen = look("service_endpoints", cluster).ready
    assert {name: seen[f"default/{name}"] for name in "abc"} == {"a": 1, "b": 2, "c": 0}


def test_the_dns_is_known_by_its_label(cluster: ControlPlane) -> None:
    mine = platform.endpoints("mine-coredns", "default")
    mine["metadata"]["labels"]["k8s-app"] = "kube-dns"
    cluster.apply(mine, platform.endpoints("other", "default"))
    assert look("service_endpoints", cluster).dns == ("default/mine-coredns",)


def test_a_network_policy(cluster: ControlPlane) -> None:
    rule = {"to": [{"podSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}, {"port": "dns"}]}
    spec = {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Egress"], "egress": [rule, {}]}
    cluster.apply(make_object("networking.k8s.io/v1 NetworkPolicy", "p", "default", spec=spec))
    (seen,) = look("network_policies", cluster)
    assert (seen.name, seen.selector.labels, seen.ingress) == ("p", {"a": "b"}, None)
    first, second = seen.egress
    assert first.ports == (NetworkPolicyPort(53, protocol="UDP"), NetworkPolicyPort("dns"))
    assert first.peers[0].pod_selector.is_empty
    assert second == NetworkPolicyRule()


def test_of_secrets_only_names_types_and_keys_are_seen(cluster: ControlPlane) -> None:
    cluster.apply(platform.TOKEN)
    seen = look("named_secrets", cluster)
    assert set(seen) == {
        NamedSecret("default", "hf-token-secret", type="Opaque", keys=("HF_TOKEN",)),
        NamedSecret("default", "nvcr-pull", exists=False),
    }
    assert "x" * 8 not in str(seen)
    assert "eHh4" not in str(seen)
    asked = {event["requestURI"] for event in cluster.audit_events()}
    secrets = "/api/v1/namespaces/default/secrets"
    assert asked >= {f"{secrets}/hf-token-secret", f"{secrets}/nvcr-pull"}
    with pytest.raises(Forbidden):
        look("named_secrets", cluster, cluster.user("nobody"))


def test_the_types_of_a_platform(fit_cluster: ControlPlane) -> None:
    seen = {each.name: each for each in look("platform_types", fit_cluster)}
    assert len(seen) == 4
    graphs = seen["dynamographdeployments.nvidia.com"]
    assert (graphs.storage, graphs.stored) == ("v1beta1", ("v1beta1",))
    assert sorted(graphs.served) == ["v1alpha1", "v1beta1"]
    assert graphs.converter is not None
    assert graphs.converter.service == ServiceName(platform.NAMESPACE, platform.SERVICE)
    assert graphs.generation == 2
