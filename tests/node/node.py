"""A Kubernetes node and its control plane, for as long as a `with` block lasts.

    with Node() as node, node.network():
        node.cluster.apply(pod)

containerd, kubelet, kube-proxy, CoreDNS and a device plugin run in namespaces of their own, and so does the
control plane. A test enters their network: pods, Services and the API server are reached from there only.
"""

import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self

from tests.controlplane.api import ApiError, Object, wait
from tests.controlplane.processes import Processes
from tests.controlplane.server import ControlPlane
from tests.node import build, images, packages
from tests.node.namespaces import BRIDGE, GATEWAY, Namespaces

NAME = "node-1"
GPU = "nvidia.com/gpu"
PODS = "10.244.0.0/24"
DNS = "10.0.0.10"
_RUNTIME = "/run/containerd/containerd.sock"
_CTR = ("ctr", f"--address={_RUNTIME}")


class Node:
    """The node, its images imported, Ready and with GPUs to allocate.

    :param gpus: how many GPUs its device plugin offers.
    :param product: their name, as GPU feature discovery labels it.
    :raises AssetsUnavailable: the machine cannot have it, or lacks a right; the message says which.
    """

    cluster: ControlPlane

    def __init__(self, *, gpus: int = 8, product: str = "NVIDIA-H100-80GB-HBM3") -> None:
        self._gpus, self._product = gpus, product

    def __enter__(self) -> Self:
        build.kubernetes()  # before there is anything to clean up
        self._programs = build.programs()
        with ExitStack() as stack:
            self._processes = Processes()
            stack.callback(self._processes.close)
            self._namespaces = Namespaces(self._processes, NAME)
            with self.network():
                self._start(stack)
            self._end = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    @property
    def folder(self) -> Path:
        """The temporary folder that holds the node's logs, containers and images."""
        return self._processes.folder

    def network(self) -> AbstractContextManager[None]:
        """The network of the node, for this thread and what it starts."""
        return self._namespaces.network()

    def command(self, *words: str) -> list[str]:
        """Give the command line that runs this one on the node."""
        paths = [self._programs / "usr" / each for each in ("sbin", "bin")]
        environment = {
            "PATH": ":".join([*map(str, paths), os.environ.get("PATH", os.defpath)]),
            "LD_LIBRARY_PATH": str(packages.libraries(self._programs)),
            "XTABLES_LIBDIR": str(packages.libraries(self._programs) / "xtables"),
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        return self._namespaces.command("env", *given, *words)

    def kill(self, container: str) -> None:
        """Kill the program of a container, by its id."""
        words = ("--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", container)
        subprocess.run(self.command(*_CTR, *words), check=True)

    def _start(self, stack: ExitStack) -> None:
        self._serve("containerd", ["containerd", f"--config={self._write_runtime()}"], self._has_runtime)
        with ThreadPoolExecutor(1) as pool:
            imported = pool.submit(self._import_images)
            self.cluster = stack.enter_context(ControlPlane(address=GATEWAY))
            self._config = self.cluster.kubeconfig()
            self.cluster.start_scheduler()
            self.cluster.start_controller_manager()
            imported.result()
        # Not before: it ends when a file system that containerd mounts for an import is gone before it looks.
        self._start_kubelet()
        self._start_network()
        plugin = [str(build.gpu_plugin()), GPU, str(self._gpus)]
        self._serve("gpu-plugin", plugin, lambda: self._allocatable(GPU) == str(self._gpus))
        wait(self._is_ready, "be told that the node is ready")

    def _start_kubelet(self) -> None:
        words = [
            str(build.kubernetes() / "kubelet"),
            f"--kubeconfig={self._config}",
            f"--config={self._write('kubelet.json', _kubelet(self.folder))}",
            f"--hostname-override={NAME}",
            f"--node-ip={GATEWAY}",
            f"--node-labels={self._labels()}",
        ]
        self._serve("kubelet", words, lambda: self._node() is not None)

    def _labels(self) -> str:
        """What GPU feature discovery says of the node."""
        labels = {f"{GPU}.present": "true", f"{GPU}.product": self._product, f"{GPU}.count": self._gpus}
        labels["nvidia.com/cuda.driver-version.full"] = "580.95.05"
        return ",".join(f"{name}={value}" for name, value in labels.items())

    def _start_network(self) -> None:
        proxy = self._write("kube-proxy.json", _proxy(self._config))
        self._serve("kube-proxy", [str(build.kubernetes() / "kube-proxy"), f"--config={proxy}"], lambda: True)
        self.cluster.apply(*_dns_objects())
        corefile = self.folder / "Corefile"
        corefile.write_text(_COREFILE.format(address=GATEWAY, config=self._config))
        log = self._processes.log("coredns")
        words = [str(build.coredns()), f"-conf={corefile}"]
        self._serve("coredns", words, lambda: "CoreDNS-" in log.read_text())

    def _import_images(self) -> None:
        archive = images.archive(self.folder)
        log = self._processes.log("images")
        done = _run(self.command(*_CTR, "--namespace=k8s.io", "images", "import", str(archive)), log)
        assert done == 0, log.read_text()
        archive.unlink()

    def _write_runtime(self) -> Path:
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": _NETWORK}
        (self.folder / "cni").mkdir()
        self._write("cni/pods.conflist", network)
        path = self.folder / "containerd.toml"
        plugins = self._programs / "usr" / "lib" / "cni"
        path.write_text(_CONTAINERD.format(pause=images.PAUSE, plugins=plugins, network=self.folder / "cni"))
        return path

    def _serve(self, name: str, words: list[str], ready: Callable[[], bool]) -> None:
        self._processes.serve(name, lambda _: self.command(*words), lambda _: ready())

    def _has_runtime(self) -> bool:
        return _run(self.command(*_CTR, "--timeout=1s", "version"), self._processes.log("ctr")) == 0

    def _node(self) -> Object | None:
        try:
            return self.cluster.get(f"/api/v1/nodes/{NAME}")
        except ApiError:
            return None

    def _allocatable(self, resource: str) -> str | None:
        node = self._node()
        value: str | None = node["status"].get("allocatable", {}).get(resource) if node else None
        return value

    def _is_ready(self) -> bool:
        node = self._node()
        assert node is not None
        ready = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}.get("Ready")
        return ready == "True" and not node["spec"].get("taints")

    def _write(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


def _run(words: list[str], log: Path) -> int:
    with log.open("wb") as sink:
        return subprocess.run(words, stdout=sink, stderr=sink, check=False).returncode


def _kubelet(folder: Path) -> dict[str, Any]:
    resolver = folder / "resolv.conf"
    resolver.touch()
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": GATEWAY,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "containerRuntimeEndpoint": f"unix://{_RUNTIME}",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "2s",
    }


def _proxy(config: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": PODS,
        "hostnameOverride": NAME,
        "clientConnection": {"kubeconfig": str(config)},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _dns_objects() -> list[Object]:
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": name, "port": 53, "protocol": name.upper()} for name in ("udp", "tcp")]
    owner = {"labels": {"kubernetes.io/service-name": "kube-dns"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": DNS, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, **owner},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [GATEWAY], "conditions": {"ready": True}}],
        },
    ]


_NETWORK = [
    {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    },
    {"type": "portmap", "capabilities": {"portMappings": True}},
]

_COREFILE = """
.:53 {{
    errors
    bind {address}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {config}
    }}
}}
"""

# Of the plugins of containerd those that need nothing of the machine.
_CONTAINERD = """
version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{network}"
"""
