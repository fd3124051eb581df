"""Limits of the machine or container."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.facts import NodeGpus, NodeHost, NodeRdma, NodeTopology

_SHM_MIB = 1024  # dev/sanity_check.py of Dynamo warns below
_NOFILE = 65536  # the docker commands of Dynamo's documentation
_PIDS = 4096
_MEMORY_USED, _HUGE_PAGES = 0.95, 0.25


@check("node.shm", title="Shared memory is large enough")
def shm(host: NodeHost, gpus: NodeGpus) -> Iterator[Finding]:
    """NCCL and the engines exchange data between processes in /dev/shm. Containers get 64 MiB unless told
    otherwise, which several GPUs do not fit into.

    Fix: mount an emptyDir with medium: Memory at /dev/shm, or docker run --shm-size=10G
    """
    if not gpus.usable:
        raise Skip("no GPU here")
    if "/proc/mounts" in host.unread:
        yield unknown("the size of /dev/shm cannot be read")
    elif host.shm_mib is None or host.shm_mib < _SHM_MIB:
        size = "no /dev/shm" if host.shm_mib is None else f"/dev/shm has {host.shm_mib} MiB"  # noqa: S108
        yield warn(
            size,
            fix="mount an emptyDir with medium: Memory at /dev/shm, or docker run --shm-size=10G",
            evidence={"shm_mib": host.shm_mib, "wanted_mib": _SHM_MIB},
        )


@check("node.memlock", title="Memory can be locked for RDMA")
def memlock(host: NodeHost, rdma: NodeRdma) -> Iterator[Finding]:
    """RDMA registers memory by locking it. A limit, without the capability IPC_LOCK that lifts it, makes the
    registration of the KV cache fail.

    Fix: add the capability IPC_LOCK, or docker run --ulimit memlock=-1
    """
    if not rdma.verbs:
        raise Skip("no RDMA device here")
    if "/proc/self/limits" in host.unread:
        yield unknown("the limits of this process cannot be read")
    elif host.memlock is not None and not host.ipc_lock:
        yield fail(
            f"only {host.memlock >> 10} KiB of memory can be locked, and the capability IPC_LOCK is missing",
            fix="add IPC_LOCK to securityContext.capabilities.add, or docker run --ulimit memlock=-1",
            evidence={"memlock": host.memlock},
        )


@check("node.nofile", title="Enough files can be open")
def nofile(host: NodeHost) -> Iterator[Finding]:
    """Each connection of the frontend and each shared-memory segment is an open file. Dynamo's documentation
    runs its containers with 65536.

    Fix: ulimit -n 65536, or docker run --ulimit nofile=65536:65536
    """
    if "/proc/self/limits" in host.unread:
        yield unknown("the limits of this process cannot be read")
    elif host.nofile is not None and host.nofile < _NOFILE:
        yield warn(
            f"{host.nofile} open files allowed",
            fix="ulimit -n 65536, or LimitNOFILE=65536 for the container runtime",
            evidence={"nofile": host.nofile, "wanted": _NOFILE},
        )


@check("node.cgroup", title="Enough processes, threads and CPUs are allowed")
def cgroup(host: NodeHost, gpus: NodeGpus, topology: NodeTopology) -> Iterator[Finding]:
    """An engine with a rank a GPU, NCCL and a frontend run thousands of threads, each of which counts toward
    the limits of the cgroup and of the user. A rank keeps about one CPU busy.

    Fix: raise podPidsLimit of the kubelet and limits.cpu of the container, or docker run --pids-limit --cpus
    """
    limits = {"the cgroup": host.cgroup_pids, "ulimit -u": host.processes}
    cpus = [count for count in (host.cgroup_cpus, len(topology.allowed) or None) if count is not None]
    if all(limit is None for limit in limits.values()) and not (cpus and gpus.usable):
        raise Skip("the number of processes has no limit")
    for whose, limit in limits.items():
        if limit is not None and limit < _PIDS:
            yield warn(
                f"{whose} allows {limit} processes and threads",
                fix="raise podPidsLimit of the kubelet, or docker run --pids-limit and --ulimit nproc=-1",
                evidence={"pids": limit, "wanted": _PIDS},
            )
    if cpus and min(cpus) < len(gpus.usable):
        yield warn(
            f"{min(cpus):g} CPUs for {len(gpus.usable)} GPUs",
            fix="raise resources.limits.cpu of the container, or docker run --cpus",
            evidence={"cgroup": host.cgroup_cpus, "allowed": len(topology.allowed)},
        )


@check("node.memory", title="Host memory leaves room")
def memory(host: NodeHost) -> Iterator[Finding]:
    """A process that passes the memory limit of its cgroup is killed. What is written to /dev/shm counts
    toward that limit too. Memory that is reserved as huge pages is lost to all that do not ask for them.

    Fix: raise resources.limits.memory of the container, or vm.nr_hugepages=0 on the node
    """
    raised = "raise resources.limits.memory of the container"
    limit, used = host.cgroup_memory_mib, host.cgroup_used_mib
    if host.oom_kills:
        yield warn(f"the kernel killed {host.oom_kills} processes of the cgroup for memory", fix=raised)
    if limit and used is not None and used > _MEMORY_USED * limit:
        yield warn(
            f"{used} of {limit} MiB of the cgroup's memory are used",
            fix=raised,
            evidence={"used_mib": used, "limit_mib": limit},
        )
    if limit and host.container and host.shm_mib is not None and host.shm_mib > limit:
        yield warn(
            f"shared memory may grow to {host.shm_mib} MiB, more than the cgroup's memory, {limit} MiB",
            fix=f"{raised}, or lower sizeLimit of the volume at /dev/shm",
        )
    if host.memory_mib and host.huge_pages_free_mib > _HUGE_PAGES * host.memory_mib:
        yield warn(
            f"{host.huge_pages_free_mib} of {host.memory_mib} MiB are huge pages that nobody uses",
            fix="lower vm.nr_hugepages on the node, or request hugepages-2Mi in the pod",
        )
