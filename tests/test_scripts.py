"""The scripts that a newcomer meets first: the launcher, its set-up, the log conversion."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"


def call(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | environment,
    )  # fmt: skip


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment that looks set up, with a heatgrid that repeats its arguments."""
    made = tmp_path / "a venv"
    (made / "bin").mkdir(parents=True)
    program = made / "bin" / "heatgrid"
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"\nexit 7\n')
    program.chmod(0o755)
    both = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "pyproject.toml"))
    sums = subprocess.run(["cksum"], input=both, capture_output=True, text=True, check=True).stdout.strip()
    (made / "heatgrid-setup").write_text(f"run\n{sums}\n{ROOT}\n")
    return made


@pytest.mark.parametrize("name", ["heatgrid", "test", "lock", "setup.sh", "../.ci/run"])
def test_the_shell_scripts_parse(name: str) -> None:
    shell = "bash" if name.endswith("run") else "sh"
    done = call(shell, "-n", SCRIPTS / name)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_set_up_launcher_passes_all_arguments_and_the_exit_code(venv: Path) -> None:
    done = call(SCRIPTS / "heatgrid", "map", "a b", "*", "", "--x=$HOME", HEATGRID_VENV=str(venv))
    assert (done.stdout, done.stderr, done.returncode) == ("<map><a b><*><><--x=$HOME>", "", 7)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_another_set_another_lock_or_a_moved_checkout_set_up_again(venv: Path, line: int) -> None:
    stamp = venv / "heatgrid-setup"
    lines = stamp.read_text().splitlines()
    lines[line] = "other"
    stamp.write_text("\n".join(lines) + "\n")
    done = call(SCRIPTS / "heatgrid", "x", HEATGRID_VENV=str(venv), HEATGRID_PYTHON="no-such-python")
    assert (done.stdout, done.returncode) == ("", 1)
    assert "needs Python 3.11 or newer" in done.stderr
    assert not venv.with_name(venv.name + ".lock").exists()


def test_an_old_python_is_passed_over_and_said(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    found = f'. "{SCRIPTS}/setup.sh"; find_python; echo "$python"'
    new = tmp_path / "python3.12"
    new.write_text("#!/bin/sh\nexit 0\n")
    new.chmod(0o755)
    done = call("sh", "-c", f"root={ROOT}; {found}", PATH=f"{tmp_path}:{os.environ['PATH']}", HEATGRID_PYTHON="")
    assert done.stdout.strip() in ("python3.12", "python3.13")
    assert "Python 3.9.2 is too old, taking python3.1" in done.stderr


def test_a_dead_set_up_does_not_block_the_next(venv: Path) -> None:
    (venv / "heatgrid-setup").unlink()
    lock = venv.with_name(venv.name + ".lock")
    lock.mkdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    (lock / "pid").write_text(str(gone.pid))
    done = call(SCRIPTS / "heatgrid", "x", HEATGRID_VENV=str(venv), HEATGRID_PYTHON="no-such-python")
    assert "needs Python 3.11" in done.stderr
    assert not lock.exists()


LOG = """\
10.0.0.1 - - [17/May/2015:10:05:03 +0200] "GET /a/b.html?m=x@y.z HTTP/1.1" 200 203 "http://r.test/p?q=1" "Mozilla/5.0"
10.0.0.2 - - [17/May/2015:10:05:04 +0200] "GET /a/b.PNG HTTP/1.1" 200 203 "-" "Mozilla/5.0"
10.0.0.2 - - [17/May/2015:10:05:04 +0200] "GET /gone HTTP/1.1" 404 - "-" "Mozilla/5.0"
10.0.0.2 - - [17/May/2015:10:05:04 +0200] "POST /a HTTP/1.1" 200 1 "-" "Mozilla/5.0"
10.0.0.3 - - [17/May/2015:10:05:05 +0200] "GET /a HTTP/1.1" 304 - "-" "Googlebot \\"quoted\\", 2.1"
no log line
"""


def test_access_logs_become_pageviews(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LOG)
    done = call(SCRIPTS / "apache_to_csv", log)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [(row["time"], row["user"], row["page"], row["bot"]) for row in rows] == [
        ("2015-05-17T10:05:03+02:00", "10.0.0.1", "/a/b.html", "false"),
        ("2015-05-17T10:05:05+02:00", "10.0.0.3", "/a", "true"),
    ]
    assert rows[0] | {"time": ""} == {
        "time": "", "user": "10.0.0.1", "page": "/a/b.html", "kind": "pageview", "status": "200", "bytes": "203",
        "referrer": "http://r.test/p", "agent": "Mozilla/5.0", "bot": "false",
    }  # fmt: skip
    assert done.stderr.startswith("2 pageviews written")
    for reason in ("1 no page", "1 status 404", "1 not GET", "1 not in the combined format"):
        assert reason in done.stderr
