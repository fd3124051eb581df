"""Tables of load tests."""

from dynocheck.checks.load import tables
from dynocheck.facts import CounterGrowth
from tests.loadtest.making import bad, good, limits, point, run


def test_tables() -> None:
    samples = [*[good(fresh=False)] * 99, good(0.2, 0.6, resent=True), bad()]
    measured = run(point(samples, counters=(CounterGrowth("vllm:x_total", 3.0),), stopped=2))
    (requests,) = tables.requests(measured)
    assert (requests["sent"], requests["ok"], requests["failed"]) == (103, 100, 1)
    rows = {(row["metric"], row.get("over")): row for row in tables.latency_table(measured)}
    assert rows["ttft", None]["p50"] == 100.0
    assert rows["ttft", None]["p99"] is not None
    assert rows["ttft", "new connection"]["max"] == 200.0
    assert rows["chunk_gap", None]["p99"] is None  # 50 samples
    (rates,) = tables.throughput(measured, limits("ttft.p50=150ms"))
    assert (rates["requests/s"], rates["goodput/s"]) == (10.0, 9.9)
    (sizes,) = tables.sizes(measured)
    assert sizes["usage is not chunks"] == 0
    assert [row["counter"] for row in tables.server(measured)] == ["vllm:x_total"]
    (client,) = tables.client_lag(measured)
    assert (client["core"], client["sent again"]) == ("10%", 1)


def test_latencies_of_a_late_client_are_left_out() -> None:
    for row in tables.latency_table(run(point([good(0.02, 0.04)] * 100, lag_s=0.05))):
        assert row["unknown"] == "client-bound"
        assert all(row[name] is None for name in ("mean", "p50", "p90", "p99", "max"))


def test_knee_of_a_sweep() -> None:
    loads = {1: 20.0, 2: 11.0, 4: 10.0, 8: 10.0}  # seconds for the same 100 requests
    knee = tables.find_knee(
        run(*(point([good()] * 100, concurrency=load, window_s=s) for load, s in loads.items()))
    )
    assert knee is not None
    assert knee.concurrency == 2
    assert tables.find_knee(run(point([good()] * 100))) is None
