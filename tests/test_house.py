"""The house itself: imports go down only, light things stay light, nothing of this or that machine is in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "heatgrid"
FLOORS = {
    "words": 0,
    "cpu": 1,
    "gpu": 1,
    "states": 2,
    "engine": 3,
    "sources": 4,
    "outputs": 4,
    "demo": 4,
    "api": 5,
    "heat": 5,
    "arrays": 5,
    "cli": 5,
    "__main__": 5,
}
HEAVY = ("numba", "cupy", "pyarrow", "llvmlite", "PIL", "duckdb", "polars")


def part_of(module: str) -> str | None:
    """The house's part that a dotted name lies in; None for `heatgrid` itself and for foreign modules."""
    head, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if head == "heatgrid" else None


def imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import of a file, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - node.level + 1] + ([base] if base else []))
            for name in node.names:  # `from heatgrid import cpu` names a part in its last word
                yield node.lineno, f"{base}.{name.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            if isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def breaches(path: Path, inner: Path) -> Iterator[str]:
    """What the import law says against one file of the package."""
    parts = inner.with_suffix("").parts
    here = parts[0]
    package = ".".join(("heatgrid", *parts[:-1]))
    if here == "__init__":
        return  # the root only names homes, lazily
    for line, module in imports(path, package):
        there, top = part_of(module), module.partition(".")[0]
        where = f"{inner}:{line}"
        if top == "cupy" and here != "gpu":
            yield f"{where} imports cupy outside gpu/"
        if there is None or there not in FLOORS:
            continue
        if FLOORS[there] > FLOORS[here]:
            yield f"{where}: {here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"
        if {here, there} == {"cpu", "gpu"}:
            yield f"{where}: {here} and {there} must not see each other"


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def test_every_part_of_the_package_has_a_floor() -> None:
    parts = {path.relative_to(SOURCE).with_suffix("").parts[0] for path in files()} - {"__init__"}
    assert parts <= set(FLOORS), f"no floor for {sorted(parts - set(FLOORS))}: name it here"


def test_imports_go_down_only() -> None:
    assert [breach for path in files() for breach in breaches(path, path.relative_to(SOURCE))] == []


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("words/a.py", "def f():\n    from heatgrid.engine.run import run"),
        ("states/a.py", "from ..engine import run"),
        ("cpu/a.py", "import heatgrid.gpu.launch"),
        ("gpu/a.py", "from heatgrid import cpu"),
        ("engine/a.py", "import cupy as cp"),
        ("outputs/a.py", "from importlib import import_module\nimport_module('heatgrid.heat')"),
    ],
)
def test_the_import_law_sees_a_breach(tmp_path: Path, inner: str, text: str) -> None:
    path = tmp_path / "a.py"
    path.write_text(text)
    assert list(breaches(path, Path(inner)))


def test_the_oracle_knows_nothing_of_heatgrid() -> None:
    seen = [
        f"{path.name}:{line}"
        for path in sorted((ROOT / "tests" / "oracle").rglob("*.py"))
        for line, module in imports(path, "oracle")
        if module.partition(".")[0] == "heatgrid"
    ]
    assert seen == []


def loaded_by(*arguments: str) -> set[str]:
    """The heavy modules that a fresh interpreter holds after running `python *arguments`."""
    probe = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('LOADED', *sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr))\n"
        "sys.argv = sys.argv[1:]\n"
        "exec(sys.argv[1]) if sys.argv[0] == '-c' else runpy.run_module(sys.argv[1], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", probe, *arguments]
    if arguments[0] == "-m":
        command = [sys.executable, "-c", probe.replace("sys.argv = sys.argv[1:]", ""), *arguments[1:]]
        command[2] = command[2].replace("exec(sys.argv[1]) if sys.argv[0] == '-c' else ", "").replace("sys.argv[1]", "sys.argv[0]")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    line = next(line for line in done.stderr.splitlines() if line.startswith("LOADED"))
    return set(line.split()[1:]) & set(HEAVY)
