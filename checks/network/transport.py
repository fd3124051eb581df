"""Checks that multi-node workers request and use RDMA."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, judged, unjudged, warn
from dynocheck.checks.rdma.recipes import Worker, list_workers
from dynocheck.core.fixes import add_element, locate_main, set_resource, set_variable, unset
from dynocheck.data.rdma import rdma_resource
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import Component, Container, EnvVar, Recipes, Value

_LARGEST = 8  # GPUs of the largest node in use; a graph with more has to cross nodes
_DEVICE, _EFA = "rdma/ib", "vpc.amazonaws.com/efa"
_NEAR = "kubernetes.io/hostname"
# What UCX calls the transports that cross nodes by RDMA, and what stands for all:
# https://openucx.readthedocs.io/en/master/faq.html#which-transports-does-ucx-use
_UCX_RDMA = ("all", "ib", "rc", "rc_v", "rc_x", "rc_verbs", "rc_mlx5", "dc", "dc_x", "dc_mlx5", "gga")
_UCX_SLOW = ("ud", "ud_v", "ud_x", "ud_verbs", "ud_mlx5", "srd")  # RDMA too, of datagrams
_OFF = {"NCCL_IB_DISABLE": ("1",), "NCCL_NET": ("Socket", "socket"), "NVSHMEM_REMOTE_TRANSPORT": ("none",)}


@check("network.rdma-requested", title="Multi-node traffic requests RDMA")
def rdma_requested(recipes: Recipes) -> Iterator[Result]:
    """A pod that asks for no RDMA device is given none: its traffic falls back to TCP without an error, and
    KV blocks or the engine's collectives crawl.

    Judged are engines that span nodes, and graphs split into prefill and decode whose GPUs no single node
    holds. What may run on one node is judged against a cluster alone (`dynocheck preflight --recipe`), and
    so is the name of the resource. A pod in the host's network, a privileged one, one with the host's
    devices or with a resource claim gets its devices otherwise.

    Fix: name what the nodes offer, such as rdma/ib, in the limits of the worker's main container
    """
    across = [worker for worker in list_workers(recipes) if _crosses_nodes(worker)]
    if not across:
        raise Skip("no worker of a recipe has to talk across nodes")
    for worker in across:
        why = _explain_unjudged(worker)
        if why:
            yield unjudged(worker.component.name, why=why, location=worker.place)
            continue
        yield judged(1, "workers")
        if not _list_rdma(worker.component) and not _has_other_access(worker):
            component = worker.component
            why = worker.cross_node_reason if component.nodes > 1 else _describe_split(worker)
            yield warn(
                f"{component.name} {why}, and asks for no RDMA: what crosses nodes goes over TCP",
                fix=_suggest_rdma(worker),
                location=worker.place,
            )


def _suggest_rdma(worker: Worker) -> str:
    """The edits that give a worker RDMA: devices, memory that may be locked, no variable against it."""
    main, graph, component = worker.component.main, worker.graph, worker.component
    edits = [set_resource(graph, component, _DEVICE, component.gpus or 1)]
    edits += [] if _may_lock(worker) else [_suggest_lock(worker)]
    against = _find_contradictions(component, main, [_DEVICE]) if main is not None else ()
    edits += [unset(variable.name) for variable in against]
    return f"{'; '.join(edits)}   # {_DEVICE}, or what the nodes call it"


def _suggest_lock(worker: Worker) -> str:
    main = locate_main(worker.graph, worker.component)
    return add_element(f"{main}.securityContext.capabilities.add", "IPC_LOCK")


def _may_lock(worker: Worker) -> bool:
    pod = worker.placement.pod
    added = {each.text for value in pod.find_all("add") for each in value.sequence}
    return bool(added & {"IPC_LOCK", "ALL"}) or _has_true(pod, "privileged")


def _crosses_nodes(worker: Worker) -> bool:
    if worker.component.nodes > 1:
        return True
    total = worker.graph.gpus
    return worker.is_disaggregated and total is not None and total > _LARGEST and not _is_colocated(worker)


def _is_colocated(worker: Worker) -> bool:
    affinity = worker.placement.pod.get("affinity", "podAffinity")
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") if affinity else None
    near = required.find_all("topologyKey") if required else ()
    return _NEAR in worker.placement.selector or any(key.text == _NEAR for key in near)


def _describe_split(worker: Worker) -> str:
    return f"exchanges KV blocks with workers on other nodes: its graph has {worker.graph.gpus} GPUs"


def _list_rdma(component: Component) -> list[str]:
    return [name for name in component.resources if rdma_resource(name) is not None]


def _has_true(pod: Value, key: str) -> bool:
    return any(value.data is True for value in pod.find_all(key))


def _has_other_access(worker: Worker) -> bool:
    """Whether its pods reach devices of the network, or NVLink across nodes, by other means."""
    pod = worker.placement.pod
    paths = (path.text or "" for volume in pod.find_all("hostPath") if (path := volume.get("path")))
    return (
        _has_true(pod, "hostNetwork")
        or _has_true(pod, "privileged")
        or any(path.startswith("/dev/infiniband") for path in paths)
        or worker.placement.has_resource_claims
    )


def _explain_unjudged(worker: Worker) -> str:
    """Why it is unknown whether a worker asks for RDMA; empty if it is known."""
    if _list_rdma(worker.component) or _has_other_access(worker):
        return ""
    unknown = sorted(name for name in worker.component.resources if not name.endswith(".IP"))
    if unknown:
        return f"whether {', '.join(unknown)} is an RDMA device is unknown"
    return "the resources that it requests are unknown" if worker.component.gpus is None else ""


@check("network.transport", title="No variable disables the requested RDMA network")
def transport(recipes: Recipes) -> Iterator[Finding]:
    """A worker that asks for RDMA devices and tells UCX or NCCL not to use them pays for them and runs over
    TCP.

    `UCX_TLS` lists the transports that NIXL may take: without `rc`, `dc` or `ib`, or with `^` before them,
    none of RDMA's is left. `NCCL_IB_DISABLE=1` and `NCCL_NET=Socket` do the same for collectives, which
    matters where an engine spans nodes. Without `cuda` or `cuda_copy`, UCX cannot tell the GPU memory that
    NIXL transfers from the host's, with RDMA or without it.

    Fix: add rc and cuda to UCX_TLS, or leave the variable out
    """
    judged = False
    for worker in list_workers(recipes):
        names = _list_rdma(worker.component)
        main = worker.component.main
        if main is None:
            continue
        if not names:
            if _moves_by_nixl(worker):
                judged = judged or any(variable.name == "UCX_TLS" for variable in main.env)
                yield from _check_gpu_memory(worker, main)
            continue
        judged = True
        against = list(_find_contradictions(worker.component, main, names))
        if not any(variable.name == "UCX_TLS" for variable in against) and {*names} != {_EFA}:
            yield from _check_gpu_memory(worker, main)
        for variable in against:
            yield warn(
                f"{worker.component.name} asks for {', '.join(names)}, and {variable.name}={variable.value} "
                "keeps off it",
                fix=unset(variable.name, "or add rc to it" if variable.name == "UCX_TLS" else ""),
                location=Location(worker.graph.file, variable.line, variable.column),
            )
    if not judged:
        raise Skip("no worker asks for RDMA")


def _moves_by_nixl(worker: Worker) -> bool:
    """Whether a worker passes the KV cache in its GPUs' memory to another by NIXL, which uses UCX."""
    engines = [each for each in find_instances(worker.graph) if each.component is worker.component]
    return worker.is_disaggregated and any(map(_names_nixl, engines))


def _names_nixl(engine: EngineInstance) -> bool:
    given = engine.given
    if engine.engine.name == "sglang":
        return given.text("disaggregation-transfer-backend", "mooncake") == "nixl"
    if engine.engine.name == "trtllm":
        return engine.get_nested("cache-transceiver-config", "backend") in ("DEFAULT", "NIXL", "UCX")
    config = given.get("kv-transfer-config")
    entries = str(config.entries) if config is not None else ""
    elsewhere = "'backends'" in entries and "UCX" not in entries  # as LIBFABRIC
    staged = "'kv_buffer_device'" in entries and "'kv_buffer_device': 'cuda'" not in entries
    return "NixlConnector" in entries and not staged and not elsewhere


def _check_gpu_memory(worker: Worker, main: Container) -> Iterator[Finding]:
    """A UCX_TLS without the transports of CUDA, of a worker that has GPUs."""
    own = {variable.name: variable for launch in main.launches for variable in launch.env}
    variable = own.get("UCX_TLS") or main.find_variable("UCX_TLS")
    if variable is None or not variable.value or not worker.component.gpus or "$" in variable.value:
        return
    excluding = variable.value.startswith("^")
    listed = {each.strip().partition(":")[0] for each in variable.value.lstrip("^").split(",")}
    known = any(each == "all" or each.startswith(("cuda", "ze_", "rocm")) for each in listed)
    if bool(listed & {"cuda", "cuda_copy"}) if excluding else not known:
        yield warn(
            f"{worker.component.name}: UCX_TLS={variable.value} leaves out cuda, which GPU memory needs",
            fix=set_variable("UCX_TLS", f"{variable.value},cuda") if not excluding else "leave out UCX_TLS",
            location=Location(worker.graph.file, variable.line, variable.column),
        )


def _find_contradictions(component: Component, main: Container, names: list[str]) -> Iterator[EnvVar]:
    efa = all(name == _EFA for name in names)  # which UCX is not used for
    own = [each for launch in main.launches for each in launch.env]  # of a script, over its container's
    outer = [each for each in main.env if each.name not in {variable.name for variable in own}]
    for variable in dict.fromkeys((*outer, *own)):
        off = variable.value in _OFF.get(variable.name, ())
        if (off and component.nodes > 1) or (
            variable.name == "UCX_TLS" and not efa and variable.value and not _has_rdma(variable.value)
        ):
            yield variable


def _has_rdma(transports: str) -> bool:
    """Whether a value of UCX_TLS leaves a transport of RDMA."""
    listed = {each.strip().partition(":")[0].lstrip("\\") for each in transports.lstrip("^").split(",")}
    known = {*_UCX_RDMA, *_UCX_SLOW}
    if transports.startswith("^"):
        return not ({"ib"} & listed or {"rc", "dc", "ud"} <= listed)
    return bool(known & listed)


@check("network.ipc-lock", title="Workers with RDMA devices can lock memory")
def ipc_lock(recipes: Recipes) -> Iterator[Finding]:
    """Memory that a network device reads must be locked. A container has the node's limit of locked memory,
    64 KiB to 8 MiB on many, which the capability IPC_LOCK lifts: without it registering the KV cache
    fails with ENOMEM on such nodes.

    The name has no prefix: containerd gives a container no CAP_IPC_LOCK. A privileged container has every
    capability. EFA and GKE's networks are judged the same way.

    Fix: securityContext: {capabilities: {add: [IPC_LOCK]}}
    """
    judged = False
    for worker in list_workers(recipes):
        names = _list_rdma(worker.component)
        if not names:
            continue
        judged = True
        if not _may_lock(worker):
            yield warn(
                f"{worker.component.name} asks for {', '.join(names)} without the capability IPC_LOCK: "
                "registering memory fails where the node limits locked memory",
                fix=_suggest_lock(worker),
                location=worker.place,
            )
    if not judged:
        raise Skip("no worker asks for RDMA")
