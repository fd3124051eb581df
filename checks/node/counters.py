"""Error counters of links."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import NodeCounters, NodeGpus, NodeRdma

_FIX = "reseat or replace the cable or GPU; for NVLink, reset the GPU when it is idle"
_FATAL = ("NVLink failed recovery", "no_completion_cmds")  # any since the last reset is too many
_BROKEN = ("link_downed", "excessive_buffer_overrun_errors", "local_link_integrity_errors")
# Growth a second up to which NVSentinel's monitor of NICs says nothing. Of the other counters, one is told.
_TOLERATED = {
    "symbol_error": 10,
    "roce_slow_restart": 10,
    "rx_drops": 100,
    "unresponsive_remote_events": 1,
    "impaired_remote_conn_events": 1,
}


@check("node.link-errors", title="Links count no errors")
def link_errors(counters: NodeCounters, gpus: NodeGpus, rdma: NodeRdma) -> Iterator[Finding]:
    """Counters are read twice, about a second apart. One that grows meanwhile tells of a link that fails now;
    a count that stands may be years old and is left out, except where one such error is one too many.

    Fix: reseat or replace the cable or GPU; for NVLink, reset the GPU when it is idle
    """
    if not gpus.usable and not rdma.ports:
        raise Skip("no GPU and no RDMA port here")
    for each in counters.items:
        subject, what = Subject(each.kind, each.name), f"{each.kind} {each.name}: {each.counter} errors"
        if each.growth > _TOLERATED.get(each.counter, 0) * max(counters.seconds, 1):
            yield (fail if each.counter in (*_BROKEN, *_FATAL) else warn)(
                f"{what} grew by {each.growth} in {counters.seconds:.0f} s",
                fix=_FIX,
                evidence={"now": each.second},
                subject=subject,
            )
        elif each.counter in _FATAL and each.second:
            yield fail(f"{what}: {each.second} since the last reset", fix=_FIX, subject=subject)
