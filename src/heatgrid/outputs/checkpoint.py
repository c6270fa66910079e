"""Where a long run stands, on the disk: one file, complete or not at all, from which the same run goes on.

A magic word, a JSON header, arrays (packed: their room is often twice what they hold), and the SHA-256 of it all. The
header says of what run it is: a checkpoint of another plan, other inputs or another version is refused, never
continued.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heatgrid.outputs.atomic import atomic, output_lock
from heatgrid.words.errors import InputError

MAGIC = b"HEATGRID run\n"
NAME = "heatgrid.checkpoint"
ROWS = "heatgrid.rows"
"""Rows of a run in no order, beside the checkpoint that says how many of them count."""
SECONDS = 30.0
SHARE = 20
"""A checkpoint is made when the run has gone on for so many times the time that the last one took."""
_CODEC = pa.Codec("zstd", 1)
PACKAGE = Path(__file__).resolve().parents[1]
Arrays = list[npt.NDArray[Any]]
_ANEW = "remove it to begin anew"


class Checkpoint:
    """The checkpoint of one run in a folder, which is made where it is missing.

    who : what must be the same for a run to go on, as JSON; by parts, so that a refusal can say which one differs.
    """

    def __init__(self, folder: str | os.PathLike[str], who: dict[str, Any], seconds: float | None = None) -> None:
        self.folder = Path(folder)
        self.path, self.rows = self.folder / NAME, self.folder / ROWS
        self._who: dict[str, Any] = json.loads(json.dumps(who, sort_keys=True, default=str))
        self._seconds = SECONDS if seconds is None else seconds
        self._cost = 0.0
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._last >= max(self._seconds, SHARE * self._cost)

    def save(self, header: dict[str, Any], arrays: Arrays) -> None:
        """Raises LimitError HG4301 where the disk is full, InputError HG2301 where the folder cannot be written."""
        began = time.monotonic()
        shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
        text = json.dumps({"who": self._who, "arrays": shapes, "run": header}).encode()
        digest = hashlib.sha256()
        with atomic(self.path) as file:
            for part in chain.from_iterable(chain([(MAGIC, _size(text), text)], map(_packed, arrays))):
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
        self._last = time.monotonic()
        self._cost = self._last - began

    def load(self) -> tuple[dict[str, Any], Arrays] | None:
        """What was saved last; None where nothing was.

        Raises InputError HG2410 (no checkpoint), HG2411 (damaged), HG2412 (of another version), HG2413 (of another
        plan or reading), HG2414 (of other inputs).
        """
        try:
            data = np.fromfile(self.path, np.uint8)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused("the checkpoint cannot be read", "HG2410", value=error.strerror) from error
        if data[: len(MAGIC)].tobytes() != MAGIC:
            raise self._refused("this is not a checkpoint", "HG2410", expected=f"{NAME} as a run writes it")
        end = len(MAGIC) + 8
        if hashlib.sha256(data[:-32].data).digest() != data[-32:].tobytes():
            raise self._refused("the checkpoint is damaged: its checksum does not fit", "HG2411", hint=_ANEW)
        at = end + int.from_bytes(data[len(MAGIC) : end].tobytes(), "little")
        saved = json.loads(data[end:at].tobytes())
        self._check(saved["who"])
        arrays: Arrays = []
        for form, shape in saved["arrays"]:
            dtype = np.dtype(form)
            size, at = int.from_bytes(data[at : at + 8].tobytes(), "little"), at + 8
            whole = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            raw = _CODEC.decompress(pa.py_buffer(data[at : at + size]), whole) if whole else b""
            arrays.append(np.frombuffer(raw, dtype).reshape(shape).copy())
            at += size
        return saved["run"], arrays

    def forget(self) -> None:
        """Remove it: the run has ended, or it begins anew."""
        forget(self.folder)

    def _check(self, other: dict[str, Any]) -> None:
        whats = {
            "version": ("the checkpoint is of another version of heatgrid", "HG2412"),
            "plan": ("the checkpoint is of a run with another plan", "HG2413"),
            "reading": ("the checkpoint is of a run that read its input otherwise", "HG2413"),
            "inputs": ("the inputs are not those of the checkpoint", "HG2414"),
        }
        for part, (what, code) in whats.items():
            mine, its = self._who[part], other.get(part)
            if mine != its:
                raise self._refused(what, code, value=_unlike(its, mine), expected="the same as before", hint=_ANEW)

    def _refused(self, what: str, code: str, **more: Any) -> InputError:
        return InputError(what, code=code, where=str(self.path), **more)


@contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[None]:
    """The right to a folder of checkpoints: a second run there is refused (UsageError HG1301)."""
    os.makedirs(folder, exist_ok=True)
    with output_lock(Path(folder) / NAME, "run"):
        yield


def forget(folder: str | os.PathLike[str]) -> None:
    """Remove the checkpoint of a run whose result has been written."""
    for name in (NAME, ROWS):
        (Path(folder) / name).unlink(missing_ok=True)


def version_stamp() -> str:
    """What the objects of a run look like depends on all of our code, and on what cuts the files into tasks."""
    digest = hashlib.sha256(f"numpy {np.__version__} pyarrow {pa.__version__}".encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _packed(array: npt.NDArray[Any]) -> tuple[bytes, Any]:
    flat = np.ascontiguousarray(array).reshape(-1)
    packed = _CODEC.compress(pa.py_buffer(flat.view(np.uint8)), asbytes=True) if flat.size else b""
    return _size(packed), packed


def _size(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little")


def _unlike(its: Any, mine: Any) -> str:
    """What differs, in a line."""
    if isinstance(its, dict) and isinstance(mine, dict):
        names = [name for name in sorted({*its, *mine}) if its.get(name) != mine.get(name)]
        return "; ".join(f"{name}: {its.get(name)!r}, now {mine.get(name)!r}" for name in names[:3])
    if isinstance(its, list) and isinstance(mine, list):
        gone = [str(one["name"]) for one in its if one not in mine]
        new = [str(one["name"]) for one in mine if one not in its]
        return ", ".join(dict.fromkeys([*gone, *new][:5]))
    return f"{its}, now {mine}"
