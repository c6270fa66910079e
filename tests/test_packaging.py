"""The wheel and the editable install both find the CUDA sources."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ASK = "import heatgrid; from heatgrid.gpu.locate import kernels; print(heatgrid.__file__); print(kernels())"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed"),
    pytest.mark.skipif(find_spec("pip") is None, reason="pip is not installed"),
]


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def fresh(folder: Path, *what: str) -> tuple[Path, Path]:
    """(package, kernels) as an environment sees them that holds nothing but what pip installs into it here."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    pip("install", "--no-deps", "--no-index", "--target", str(site), *what)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [folder / "bin" / "python", "-c", ASK], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    package, kernels = done.stdout.splitlines()
    return Path(package).parent, Path(kernels)


def test_wheel(tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("heatgrid-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"heatgrid/cuda/{p.relative_to(ROOT / 'kernels')}" for p in (ROOT / "kernels").rglob("*.cu*")}
    assert shipped
    assert shipped <= names
    assert {"heatgrid/py.typed", "heatgrid/arrays.py"} <= names
    assert not [n for n in names if n.startswith(("tests/", "kernels/")) or n.endswith((".pyc", ".nbi", ".nbc"))]

    package, kernels = fresh(tmp_path / "env", str(wheel))
    assert tmp_path in package.parents
    assert kernels == package / "cuda"


@pytest.mark.skipif(find_spec("editables") is None, reason="editables is not installed")
def test_editable(tmp_path: Path) -> None:
    package, kernels = fresh(tmp_path / "env", "--no-build-isolation", "--editable", str(ROOT))
    assert package == ROOT / "src" / "heatgrid"
    assert kernels == ROOT / "kernels"
