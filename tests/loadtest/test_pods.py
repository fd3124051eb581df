"""The workers of a load test that meet over the network, and what is read from their logs."""

import asyncio
import socket

import pytest

from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.pods import is_log, measure_share, merge_logs
from dynocheck.loadtest.start_barrier import Barrier, WorkerRank
from dynocheck.serving import Endpoint
from tests.controlplane.processes import free_port
from tests.loadtest.engine import engine


def places(of: int) -> list[WorkerRank]:
    port = free_port()
    return [WorkerRank(index, of, "127.0.0.1", port) for index in range(of)]


def plan(url: str, **more: object) -> LoadPlan:
    sizes = {"requests": 8, "concurrencies": (4,), "output_tokens": 2, "warmup": 2, "input_tokens": 20}
    return LoadPlan(endpoint=Endpoint(url), **{**sizes, **more})  # type: ignore[arg-type]


async def lines(plan: LoadPlan, *places: WorkerRank) -> list[str]:
    return list(await asyncio.gather(*(measure_share(plan, place) for place in places)))


def test_the_shares_of_all_make_the_whole_load() -> None:
    with engine() as server:
        first, *others = places(3)
        said = asyncio.run(lines(plan(server.url, concurrencies=(3, 6)), *others, first))
        log = "\n".join(f"[pod/x] {line}" for line in said)
        assert is_log(log)
        run = merge_logs(log)
    assert [len(point.samples) for point in run.points] == [8, 8]
    assert [point.client.workers for point in run.points] == [3, 3]
    assert [point.failed for point in run.points] == [0, 0]


def test_a_worker_that_cannot_measure_does_not_hold_the_others_up() -> None:
    """It is told, and there is no result, for the load was not the one that was asked for."""
    with engine() as server:
        first, second = places(2)

        async def both() -> tuple[str, str]:
            unknown = plan("http://127.0.0.1:9", model=None)
            return await asyncio.gather(
                measure_share(plan(server.url), first), measure_share(unknown, second)
            )

        said = asyncio.run(both())
    with pytest.raises(Unavailable, match="which models are served"):
        merge_logs("\n".join(said))


def test_a_first_request_that_fails_is_told_by_the_first_worker() -> None:
    with engine(fail=tuple(range(99))) as server:
        run = merge_logs("\n".join(asyncio.run(lines(plan(server.url), *places(2)))))
    assert run.points[0].failed > 0
    assert run.points[0].failures[0].kind == "http-5xx"


@pytest.mark.parametrize(
    ("worker", "says"),
    [(0, r"1 of 2 workers connected within 0\.2 s"), (1, r"cannot reach worker 0 at 127\.0\.0\.1")],
)
def test_who_does_not_come_is_waited_for_no_longer_than_that(worker: int, says: str) -> None:
    async def alone() -> None:
        async with Barrier(places(2)[worker], patience_s=0.2) as meeting:
            await meeting.join()
            await meeting.wait()

    with pytest.raises(Unavailable, match=says):
        asyncio.run(alone())


def test_strangers_at_the_port_change_nothing() -> None:
    async def visited() -> float:
        first, second = places(2)
        async with Barrier(first) as host, Barrier(second) as guest:
            for said in (b"GET / HTTP/1.1\r\n\r\n", b"7\n", b"-1\n", b"\xff\n", b""):
                with socket.create_connection(("127.0.0.1", first.port)) as stranger:
                    stranger.sendall(said)
            await host.join()
            await guest.join()
            starts = await asyncio.gather(host.wait(), guest.wait())
            return abs(starts[0] - starts[1])

    assert asyncio.run(visited()) < 5


def test_what_is_missing_broken_or_mixed_is_no_result() -> None:
    with engine() as server:
        said = asyncio.run(lines(plan(server.url), *places(2)))
        other = asyncio.run(lines(plan(server.url), *places(1)))
    assert len(merge_logs("\n".join([*said, *said])).points[0].samples) == 8
    with pytest.raises(Unavailable, match="no result from worker 0 of 2"):
        merge_logs(said[1])
    with pytest.raises(Unavailable, match="no result from worker 0, 1, 2, 3 of 4"):
        merge_logs("nothing", of=4)
    with pytest.raises(Unavailable, match="truncated"):
        merge_logs(f"{said[0][:-40]}\n{said[1]}")
    with pytest.raises(UsageError, match="several Jobs"):
        merge_logs("\n".join([*said, *other]))


@pytest.mark.parametrize("text", ["", "1/1@h:1", "0/1@h:0", "0/1@h:70000", "a/2@h:1", "0/2@:1", "0/2@a b:1"])
def test_a_place_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="not of the form"):
        WorkerRank.parse(text)
