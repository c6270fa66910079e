"""The house itself: imports go down only, light things stay light, no machine's own things are in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
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
    "service": 5,
    "snapshot": 5,
    "dwelling": 5,
    "dwelling_device": 5,
    "bench": 5,
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
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, str(name.value)) for name in node.args if isinstance(name, ast.Constant))


def breaches(path: Path, inner: Path) -> Iterator[str]:
    """What the import law says against one file of the package."""
    parts = inner.with_suffix("").parts
    here = parts[0]
    package = ".".join(("heatgrid", *parts[:-1]))
    if here not in FLOORS:
        return  # the root only names homes, lazily; a new part is told so by the test below
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


def loaded_by(code: str) -> set[str]:
    """The heavy modules that a fresh interpreter holds after running ``code``."""
    probe = f"import sys\n{code}\nprint('LOADED', *{{m.partition('.')[0] for m in sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split("LOADED")[1].split()) & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "import heatgrid",
        "import heatgrid; heatgrid.Plan(), heatgrid.HeatgridError",
        "from heatgrid.cli import main; assert main(['--help']) == 0",
        "from heatgrid.cli import main; assert main(['report', '--help']) == 0",
        "from heatgrid.cli import main; assert main(['features', 'x.parquet', '--cell', '0']) == 2",
    ],
)
def test_light_things_load_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == set()


def test_the_probe_sees_what_is_loaded() -> None:
    assert "pyarrow" in loaded_by("import pyarrow")


def test_help_leaves_the_drawing_library_of_the_terminal_alone() -> None:
    code = "from heatgrid.cli import main; main(['--help']); assert not {'rich', 'pydantic'} & set(sys.modules)"
    assert loaded_by(code) == set()


def tracked() -> list[Path]:
    """Files of the repository, as git knows them; outside of one, every file of the source tree."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


FORBIDDEN = {
    "a registry's host": r"py" r"pi\.org|python" r"hosted\.org|npm" r"js\.(org|com)|deb" r"ian\.(org|net)",
    "a path of one machine": r"(?<![\w.~])/(work|root|home/\w+)/|/opt/py" r"pi",
    "another's workshop": r"\.lib" r"rary/",
}


def test_no_file_names_a_registry_or_one_machine() -> None:
    seen = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for what, pattern in FORBIDDEN.items():
            seen += [f"{path.relative_to(ROOT)}: {what}: {found[0]}" for found in re.finditer(pattern, text)]
    assert seen == []


def test_the_lock_holds_versions_and_hashes_only() -> None:
    package = re.compile(r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; [^/@]+)? \\$")
    digest = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not package.match(line) and not digest.match(line)] == []


def test_the_lock_holds_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"], "uv", "editables"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    names = {re.split(r"[<>=!~\[ ;]", line, maxsplit=1)[0].lower().replace("_", "-") for line in asked}
    assert names <= set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))


def test_the_figures_of_the_readme_are_those_of_the_results():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "bench_tables", "--check"], check=False)
    assert done.returncode == 0, "scripts/bench_tables makes them anew"
