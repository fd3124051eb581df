"""Load tests by the pods of an Indexed Job: runs a pod's share, and merges the results in the pods' logs."""

import base64
import re
import zlib

from dynocheck.core.errors import UsageError
from dynocheck.facts import LoadRun, Unavailable
from dynocheck.loadtest.merge import merge_runs
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.run import Share, run
from dynocheck.loadtest.start_barrier import Barrier, WorkerRank
from dynocheck.loadtest.workers import decode_result, encode_result

_MARK = "dynocheck-load-result"
_LINE = re.compile(rf"\b{_MARK} (\S{{1,300}}) ([\w+/=]+)\s*$", re.ASCII | re.MULTILINE)
_MAX_RESULT = 1 << 28  # bytes of one worker's decompressed result


async def measure_share(plan: LoadPlan, rank: WorkerRank) -> str:
    """Run a pod's share of a load test, and return the result as a line for its log."""

    async def share() -> LoadRun:
        async with Barrier(rank) as barrier:
            await barrier.join()
            return await run(plan, Share(rank.index, rank.of, barrier.wait))

    packed = base64.b64encode(zlib.compress(await encode_result(share()))).decode()
    return f"{_MARK} {rank} {packed}"


def is_log(text: str) -> bool:
    """Whether a text contains a pod's result."""
    return _LINE.search(text) is not None


def merge_logs(logs: str, of: int | None = None) -> LoadRun:
    """Merge the results in the logs of a Job's pods, concatenated in any order, into one run.

    :param of: expected number of workers (default: as in the results).
    :raises UsageError: there are results of several Jobs.
    :raises Unavailable: a result is missing or corrupt, or its worker measured nothing.
    """
    results: dict[int, str] = {}
    jobs: set[tuple[int, str, int]] = set()
    for rank, packed in ((WorkerRank.parse(match[1]), match[2]) for match in _LINE.finditer(logs)):
        results[rank.index] = packed
        jobs.add((rank.of, rank.host, rank.port))
    if len(jobs) > 1:
        raise UsageError("results of several Jobs: give those of one")
    workers = of or next(iter(jobs), (0,))[0]
    if missing := [str(index) for index in range(workers) if index not in results]:
        raise Unavailable(f"no result from worker {', '.join(missing[:8])} of {workers}")
    return merge_runs([decode_result(_unpack(results[index])) for index in range(workers)])


def _unpack(packed: str) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        result = decompressor.decompress(base64.b64decode(packed, validate=True), _MAX_RESULT)
    except (ValueError, zlib.error):
        result = b""
    if not decompressor.eof:
        raise Unavailable("a worker's result is truncated: the kubelet rotates long logs")
    return result
