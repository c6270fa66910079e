# mypy: allow-untyped-calls
"""Compiled kernels kept on disk: Numba's cache, loaded without its compiler, and never trusted blindly.

Numba first gets all that it could compile with ready, 0.2 s of imports and registrations, a fifth of a short command.
What is loaded needs its runtime alone; a kernel that is not found still gets the compiler ready itself. This rests on
internals, so it is done for the versions it was tried with; any other takes Numba's own way, and one whose internals
are gone its own cache. Further than Numba's cache goes this one:

- a kernel is stale when a source that it was compiled from has changed, not its own file alone: an upgrade leaves
  kept kernels where they are, and one that has a formula or a constant of another file in it would count by the old;
- it carries a checksum, and is loaded for the very types that it was compiled for (two processes that save at one time
  can give one file two names);
- what cannot be read is compiled again, and what cannot be written is not kept;
- of processes that want a kernel that is not there, one compiles it (``cpu.turn``).
"""

from __future__ import annotations

import pickle
import re
import zlib
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba

from heatgrid.cpu import turn

TRIED = ((0, 61), (0, 68))
"""The first and the last minor version of Numba whose kernels were loaded without the compiler."""
PACKAGE = Path(__file__).resolve().parents[1]
_IMPORTS = re.compile(rb"^from heatgrid\.([\w.]+) import (\([^)]*\)|.*)", re.MULTILINE)


def keep(made: Any) -> Any:
    """What ``cache=True`` does. (With NUMBA_DISABLE_JIT=1 there is nothing to keep.)"""
    for way in (_ours, _numbas):
        try:
            way(made)
            break
        except (ImportError, AttributeError, TypeError):  # other internals
            continue
        except (OSError, RuntimeError):  # no folder that can be written
            break
    return made


def _ours(made: Any) -> None:
    if hasattr(made, "enable_caching"):
        made._cache = _kind()(made.py_func)


def _numbas(made: Any) -> None:
    made.enable_caching()


@cache
def _kind() -> Any:
    """The class of our caches, made when Numba is known to have what it is made from."""
    from numba.core.caching import CompileResultCacheImpl, FunctionCache
    from numba.core.runtime.nrt import rtsys
    from numba.core.serialize import dumps

    quick = TRIED[0] <= tuple(map(int, numba.__version__.split(".")[:2])) <= TRIED[1]

    class Checked(CompileResultCacheImpl):
        def reduce(self, compiled: Any) -> Any:
            body = dumps(super().reduce(compiled))
            return zlib.crc32(body), body

        def rebuild(self, target: Any, data: Any) -> Any:
            crc, body = data
            if zlib.crc32(body) != crc:
                raise ValueError("damaged")
            return super().rebuild(target, pickle.loads(body))

    class Kept(FunctionCache):
        _impl_class = Checked

        def __init__(self, function: Any) -> None:
            super().__init__(function)
            self._cache_file._source_stamp = stamp(Path(function.__code__.co_filename))

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            found = self._kept(sig, target_context)
            if found is None and turn.begin(self._cache_path, self._named(sig)):
                found = self._kept(sig, target_context)
                if found is not None:
                    turn.end(self._cache_path, self._named(sig))
            return found

        def _named(self, sig: Any) -> str:
            return f"{self._py_func.__module__}.{self._py_func.__qualname__}{sig}"

        def _kept(self, sig: Any, target_context: Any) -> Any:
            for load in (self._quickly, super().load_overload) if quick else (super().load_overload,):
                try:
                    found = load(sig, target_context)
                    if found is None or tuple(found.signature.args) == tuple(getattr(sig, "args", sig)):
                        return found
                except Exception:  # whatever a damaged file raises
                    continue
            with suppress(OSError):
                self.flush()
            return None

        def _quickly(self, sig: Any, target_context: Any) -> Any:
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)

        def save_overload(self, sig: Any, data: Any) -> None:
            with suppress(OSError, pickle.PickleError, EOFError):
                super().save_overload(sig, data)
            turn.end(self._cache_path, self._named(sig))

    return Kept


@cache
def stamp(path: Path) -> str:
    """Of a source and of all of ours that it imports, each by its content."""
    seen: dict[Path, bytes] = {}
    todo = [path]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen[one], imported = _source(one)
            todo += imported
    return sha256(b"".join(seen[one] for one in sorted(seen))).hexdigest()


@cache
def _source(path: Path) -> tuple[bytes, list[Path]]:
    text = path.read_bytes()
    imported = []
    for module, names in _IMPORTS.findall(text):
        base = PACKAGE.joinpath(*module.decode().split("."))
        inner = (base / f"{name}.py" for name in re.findall(r"\w+", names.decode()))
        imported += [file for file in (base.with_suffix(".py"), *inner) if file.is_file()]
    return sha256(text).digest(), imported
