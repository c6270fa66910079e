"""From what the user names to files: sorted paths, their format, their identity."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heatgrid.sources.faults import unreadable
from heatgrid.words.errors import InputError, UsageError, nearest

FORMATS = ("parquet", "ipc", "csv", "ndjson")
SUFFIXES = {
    ".parquet": "parquet", ".pq": "parquet", ".parq": "parquet",
    ".arrow": "ipc", ".ipc": "ipc", ".feather": "ipc", ".arrows": "ipc",
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv",
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson",
}  # fmt: skip
PACKED = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
_MAGIC = ((b"PAR1", "parquet"), (b"ARROW1", "ipc"), (b"\xff\xff\xff\xff", "ipc"))
_PACKED_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))


@dataclass(frozen=True)
class Identity:
    """The file that was opened, so that one that changes while it is read is noticed."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    def as_dict(self) -> dict[str, object]:
        return {"name": self.path, "size": self.size, "mtime_ns": self.mtime_ns}

    def check(self) -> None:
        """The file is still the one that was looked at when the run was planned."""
        now = identify(self.path)
        if now != self:
            raise InputError(
                "the file changed while it was read",
                code="HG2206",
                where=self.path,
                value="another file has its name now"
                if now.inode != self.inode
                else f"{self.size:,} bytes before, {now.size:,} now",
                expected="a file that nobody writes to",
                hint="copy it, or wait until its writer has finished, and run again",
            )


def identify(path: str) -> Identity:
    try:
        facts = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISFIFO(facts.st_mode) or stat.S_ISSOCK(facts.st_mode):
        raise InputError(
            "a pipe cannot be read by its name",
            code="HG2207",
            where=path,
            hint="give '-' and send it to standard input",
        )
    return Identity(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


def expand(names: list[str], suffixes: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Paths, globs and folders as the sorted list of files that they stand for, each once; and notes.

    suffixes : of the files to take from folders, instead of those of all known kinds.
    """
    found: list[str] = []
    for name in names:
        found += _expand_one(name, tuple(suffixes))
    once: dict[str, str] = {}
    for path in sorted(found):
        once.setdefault(os.path.realpath(path), path)
    notes = []
    if len(once) < len(found):
        notes.append(f"{len(found) - len(once)} file(s) named more than once are read once")
    return sorted(once.values()), notes


def _expand_one(name: str, suffixes: tuple[str, ...]) -> list[str]:
    if "://" in name:
        raise InputError(
            "addresses are not opened",
            code="HG2207",
            where=name,
            expected="a local path, glob or folder",
            hint="download it, or pass a pyarrow dataset, e.g. pyarrow.dataset.dataset(address)",
        )
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        inside = _walk(path, suffixes)
        if not inside:
            raise InputError(
                "the folder holds no file of a known kind",
                code="HG2202",
                where=name,
                expected="files named " + " ".join(suffixes or SUFFIXES),
                hint="name the files themselves, or give --format",
            )
        return inside
    if os.path.exists(path):
        return [path]
    if glob.has_magic(path):
        matches = [m for m in glob.glob(path, recursive=True) if not os.path.isdir(m)]
        if not matches:
            raise InputError(
                "no file matches the pattern",
                code="HG2202",
                where=name,
                hint="quote the pattern and check it with ls; ** goes into folders",
            )
        return matches
    folder = Path(path).parent
    beside = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
    raise InputError(
        "there is no such file", code="HG2201", where=name, hint=nearest(Path(path).name, beside) if beside else None
    )


def _walk(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Every file of a known kind below a folder; hidden ones and those named ``_...`` are left out."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")))
        found += [os.path.join(base, n) for n in names if not n.startswith((".", "_")) and _is_wanted(n, suffixes)]
    return found


def _is_wanted(name: str, suffixes: tuple[str, ...]) -> bool:
    if not suffixes:
        return format_by_name(name)[0] is not None
    stem, suffix = os.path.splitext(name.lower())
    return (os.path.splitext(stem)[1] if suffix in PACKED else suffix) in suffixes


def format_by_name(path: str) -> tuple[str | None, str | None]:
    """(format, compression) as far as the name tells."""
    stem, suffix = os.path.splitext(path.lower())
    packed = PACKED.get(suffix)
    if packed:
        suffix = os.path.splitext(stem)[1]
    return SUFFIXES.get(suffix), packed


def format_by_magic(head: bytes) -> str | None:
    """The format that the first (unpacked) bytes show."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return "ndjson"
    if text and b"\0" not in head:
        return "csv"
    return None


def packed_by_magic(head: bytes) -> str | None:
    for magic, name in _PACKED_MAGIC:
        if head.startswith(magic):
            return name
    return None


def head_of(path: str, size: int = 64) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise unreadable(path, error) from error


def choose_format(asked: str, path: str) -> tuple[str | None, str | None]:
    """(format, compression) of a file: what was asked for, else its name, else its first bytes; None = open it."""
    named, packed = format_by_name(path)
    if packed is None:
        packed = packed_by_magic(head_of(path)) if named not in ("parquet", "ipc") else None
    if asked != "auto":
        return check_format(asked), packed
    if named is None and packed is None:
        named = format_by_magic(head_of(path))
    return named, packed


def check_format(asked: str) -> str:
    """A format of our own readers; those of adapters are not among them."""
    asked = "ipc" if asked == "arrow" else asked
    if asked not in FORMATS:
        raise UsageError("there is no such input format", code="HG1201", value=asked, hint=nearest(asked, FORMATS))
    return asked


def unknown_format(path: str) -> InputError:
    return InputError(
        "the format of the file is not known",
        code="HG2204",
        where=path,
        expected="Parquet, Arrow IPC, CSV or JSON lines, plain, gzip, zstd or bzip2",
        hint="give --format " + "|".join(FORMATS),
    )
