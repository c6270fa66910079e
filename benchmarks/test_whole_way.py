"""One Parquet dump to the click map and the dwell per feature; the answer is DuckDB's, or the benchmark fails.

For ratios use whole_way.py (whole processes in turn); this suite is for following one engine with pytest-benchmark.
"""

from __future__ import annotations

import pytest

from heatgrid.bench import whole as peers


@pytest.fixture(scope="session")
def truth(dump):
    return peers.duckdb(dump)


@pytest.mark.parametrize("engine", ["heatgrid", "duckdb", "polars"])
def test_click_map_and_dwell(benchmark, dump, truth, engine):
    cells, features = benchmark.pedantic(getattr(peers, engine), (dump,), rounds=3, warmup_rounds=1)
    assert cells.to_pylist() == truth[0].to_pylist()
    assert features.to_pylist() == truth[1].to_pylist()


def test_decoding_alone(benchmark, dump, request):
    rows = benchmark.pedantic(peers.decode, (dump,), rounds=3, warmup_rounds=1)
    assert rows == request.config.getoption("--rows")
