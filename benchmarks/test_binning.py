"""The binning suite on few points: every contender's answer is checked; and heatgrid followed by pytest-benchmark."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import binning
from heatgrid.bench import points as peers

pytest.importorskip("datashader")
pytest.importorskip("fast_histogram")
pytest.importorskip("boost_histogram")


@pytest.mark.parametrize("section", ["nine", "types", "validity", "small"])
@pytest.mark.filterwarnings("ignore")
def test_section(section, tmp_path, monkeypatch):
    out = tmp_path / "binning.json"
    words = ["binning", "--points", "20000", "--rounds", "1", "--calls", "2", "--only", section, "-o", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setenv("POLARS_MAX_THREADS", os.environ.get("POLARS_MAX_THREADS", "2"))
    binning.main()
    cases = json.loads(out.read_text())[section]["cases"]
    assert len(cases) == {"nine": 9, "types": 10, "validity": 3, "small": 3}[section]
    for case in cases.values():
        assert section == "small" or case["times_heatgrid"][case["best_peer"]] > 0


@pytest.mark.parametrize("spread", binning.SPREADS)
def test_heatgrid(benchmark, spread, request):
    work = peers.Work(*binning.made(spread, (1080, 1920), request.config.getoption("--rows")), (1080, 1920))
    found = benchmark(peers.heatgrid, work, 2)
    assert peers.same(found, binning.truth(work))
