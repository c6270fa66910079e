"""Ten Parquet files with unlike column names report without a flag, or say in one sentence what to do."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import heatgrid as hg
from heatgrid.cli import main
from unlike import FILES

pytestmark = pytest.mark.data


@pytest.mark.parametrize("name", FILES)
def test_a_report_without_a_flag(name: str, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = FILES[name](data_dir)
    dump, out = tmp_path / "dump.parquet", tmp_path / "report"
    made.frame.write_parquet(dump)
    code = main(["report", str(dump), "-o", str(out)])
    err = capfd.readouterr().err
    if made.error:
        assert code == 3
        assert [word for word in made.error if word not in err] == []
        assert not out.exists()
        return
    assert code == 0, err
    assert len(err.splitlines()) <= 15
    told = json.loads((out / "summary.json").read_text())
    assert told["ledger"]["read"] == told["ledger"]["accepted"] == made.frame.height
    about = told["summary"]
    assert about["kinds"] == made.kinds
    assert about["sessions"] == made.sessions
    heat = hg.run(hg.read(dump), maps=("clicks",))
    if made.pages is not None:
        assert dict(zip(heat.pages["page"].to_pylist(), heat.pages["events"].to_pylist(), strict=True)) == made.pages
    if made.clicks is not None:
        assert about["frame"] == made.frame_told
        grid = heat.map("clicks")
        cells = Counter((int(y // 8), int(x // 8)) for x, y in made.clicks)
        x0, _, y0, _ = grid.extent
        found = {
            (int(iy + y0 // 8), int(ix + x0 // 8)): int(grid.values[iy, ix])
            for iy, ix in zip(*grid.values.nonzero(), strict=True)
        }
        assert found == cells
    else:
        assert [note for note in about["notes"] if note.startswith("maps are off: no column for x and y (--map x=")]
    assert main(["look", str(dump)]) == 0
    assert main(["look", str(dump), "-o", str(tmp_path / "c.toml")]) == 0
    assert main(["report", str(dump), "-c", str(tmp_path / "c.toml"), "-o", str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert (again["summary"]["kinds"], again["ledger"]) == (made.kinds, told["ledger"])


def test_at_least_eight_of_ten_report(data_dir: Path) -> None:
    assert len(FILES) == 10
    assert sum(not made(data_dir).error for made in FILES.values()) >= 8
