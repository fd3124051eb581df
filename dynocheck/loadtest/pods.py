"""One load test by the pods of an Indexed Job: what a pod does, and what is read from the logs of all."""

import base64
import re
import zlib

from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable
from dynocheck.facts.load.run import LoadRun
from dynocheck.loadtest.merge import merge_runs
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.run import Share, run
from dynocheck.loadtest.start_barrier import Barrier, WorkerRank
from dynocheck.loadtest.workers import decode_result, encode_result

_MARK = "dynocheck-load-result"
_LINE = re.compile(rf"\b{_MARK} (\S{{1,300}}) ([\w+/=]+)\s*$", re.ASCII | re.MULTILINE)
_MOST = 1 << 28  # bytes of what one worker says


async def measure_share(plan: LoadPlan, place: WorkerRank) -> str:
    """Make the share of a load test that a pod has, and give the line for its log."""

    async def share() -> LoadRun:
        async with Barrier(place) as meeting:
            await meeting.join()
            return await run(plan, Share(place.index, place.of, meeting.wait))

    packed = base64.b64encode(zlib.compress(await encode_result(share()))).decode()
    return f"{_MARK} {place} {packed}"


def is_log(text: str) -> bool:
    """Whether a text holds what a pod left."""
    return _LINE.search(text) is not None


def merge_logs(logs: str, of: int | None = None) -> LoadRun:
    """One run of what the pods of a Job left in their logs, which may stand in one text in any order.

    :param of: how many there must be, where that is known.
    :raises UsageError: there are results of several Jobs.
    :raises Unavailable: one is missing or broken, or measured nothing.
    """
    found: dict[int, str] = {}
    meetings: set[tuple[int, str, int]] = set()
    for place, packed in ((WorkerRank.parse(each[1]), each[2]) for each in _LINE.finditer(logs)):
        found[place.index] = packed
        meetings.add((place.of, place.host, place.port))
    if len(meetings) > 1:
        raise UsageError("results of several Jobs: give those of one")
    whole = of or next(iter(meetings), (0,))[0]
    if missing := [str(index) for index in range(whole) if index not in found]:
        raise Unavailable(f"of {whole} workers {', '.join(missing[:8])} left no result")
    return merge_runs([decode_result(_unpack(found[index])) for index in range(whole)])


def _unpack(packed: str) -> bytes:
    unpack = zlib.decompressobj()
    try:
        said = unpack.decompress(base64.b64decode(packed, validate=True), _MOST)
    except (ValueError, zlib.error):
        said = b""
    if not unpack.eof:
        raise Unavailable("the result of a worker is not whole: logs that grow are cut by the kubelet")
    return said
