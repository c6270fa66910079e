"""Columns of array people (NumPy, anything Arrow) as pieces of raw values and their validity; nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from heatgrid.words.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[Any]

NUMBERS = "iuf"
KINDS = {"i": "integer", "u": "integer", "f": "float", "b": "bool"}


@dataclass(frozen=True)
class Validity:
    """One byte a row (offset -1), or an Arrow bitmap whose first row is bit `offset`."""

    values: Array
    offset: int = -1

    def rows(self, start: int, stop: int) -> Validity:
        return Validity(self.values, self.offset + start) if self.offset >= 0 else Validity(self.values[start:stop])


@dataclass(frozen=True)
class Piece:
    """A run of rows with one layout; `valid` None: all of them are."""

    values: Array
    valid: Validity | None = None

    def rows(self, start: int, stop: int) -> Piece:
        return Piece(self.values[start:stop], None if self.valid is None else self.valid.rows(start, stop))


@dataclass(frozen=True)
class Column:
    name: str
    pieces: tuple[Piece, ...]

    def __len__(self) -> int:
        return sum(piece.values.shape[0] for piece in self.pieces)


def column(name: str, data: object, kinds: str = NUMBERS) -> Column:
    """One column of `kinds` (NumPy's letters) from any array.

    Arrow is taken by its protocols (`__arrow_c_array__`, `__arrow_c_stream__`), everything else by NumPy's.
    """
    if hasattr(data, "__cuda_array_interface__"):
        raise DeviceError(
            f"{name} lives on a GPU, and this computation runs on the CPU", code="HG5003", where=name,
            value=type(data).__name__, expected="an array in main memory", hint="cupy.asnumpy(...) copies it there",
        )  # fmt: skip
    if isinstance(data, np.ndarray):
        return Column(name, _from_numpy(name, data, kinds))
    if hasattr(data, "__arrow_c_stream__"):
        return Column(name, _from_arrow(name, _protocol(name, data, stream=True), kinds))
    if hasattr(data, "__arrow_c_array__"):
        return Column(name, _from_arrow(name, _protocol(name, data, stream=False), kinds))
    if isinstance(data, (str, bytes)):
        raise _wrong(name, type(data).__name__, kinds)
    try:
        values = np.asanyarray(data)
    except ValueError as error:
        raise _wrong(name, str(error), kinds) from None
    return Column(name, _from_numpy(name, values, kinds))


def align(columns: Sequence[Column]) -> list[tuple[Piece, ...]]:
    """Rows of equal layout in every column: cut wherever one column's pieces end. All columns are equally long."""
    ends = {0}
    for col in columns:
        end = 0
        for piece in col.pieces:
            end += piece.values.shape[0]
            ends.add(end)
    cuts = sorted(ends)
    sliced = [_cut(col, cuts) for col in columns]
    return list(zip(*sliced, strict=True))


def _cut(col: Column, cuts: list[int]) -> list[Piece]:
    out: list[Piece] = []
    start = 0
    k = 1
    for piece in col.pieces:
        end = start + piece.values.shape[0]
        at = start
        while k < len(cuts) and cuts[k] <= end:
            out.append(piece.rows(at - start, cuts[k] - start))
            at = cuts[k]
            k += 1
        start = end
    return out


def writable(values: Array) -> Array:
    """The same memory without the read-only mark, for which Numba would compile every leaf a second time.

    The leaves never write to their inputs.
    """
    if values.flags.writeable:
        return values
    interface = dict(values.__array_interface__)
    interface["data"] = (interface["data"][0], False)
    return np.asarray(_Borrowed(interface, values))


class _Borrowed:
    """NumPy keeps this object, and with it the owner, alive as long as the view."""

    def __init__(self, interface: dict[str, Any], owner: object) -> None:
        self.__array_interface__ = interface
        self.owner = owner


def _wrong(name: str, value: object, kinds: str) -> UsageError:
    expected = " or ".join(dict.fromkeys(KINDS[k] for k in kinds))
    return UsageError(
        f"{name} has values of the wrong type", code="HG1402", where=name, value=value, expected=f"{expected} values",
        hint="cast it first; a time as its integers; text that holds numbers by a cast of your choice",
    )  # fmt: skip


def _from_numpy(name: str, values: Array, kinds: str) -> tuple[Piece, ...]:
    if values.ndim != 1:
        raise UsageError(
            f"{name} is not one-dimensional", code="HG1403", where=name, value=f"shape {values.shape}",
            expected="one value per point", hint="x.ravel()" if values.ndim else "an array of one element",
        )  # fmt: skip
    if values.dtype.kind == "O":
        return _from_arrow(name, _from_objects(name, values, kinds), kinds)
    if values.dtype.kind not in kinds:
        raise _wrong(name, f"dtype {values.dtype}", kinds)
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        return (Piece(values.data, Validity(np.logical_not(mask))),)
    return (Piece(values.view(np.ndarray)),)


def _from_objects(name: str, values: Array, kinds: str) -> pa.ChunkedArray:
    """Python objects with None among them, or a nullable type of pandas that NumPy shows as objects."""
    import pyarrow as pa

    try:
        return pa.chunked_array([pa.array(values, from_pandas=True)])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _wrong(name, str(error), kinds) from None


def _protocol(name: str, data: object, *, stream: bool) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return pa.chunked_array(data) if stream else pa.chunked_array([pa.array(data)])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(
            f"{name} cannot be read as an Arrow column", code="HG1404", where=name, value=str(error),
            expected="an Arrow array or stream of one column", hint="pass table['x'], not the table",
        ) from None  # fmt: skip


def _from_arrow(name: str, chunked: pa.ChunkedArray, kinds: str) -> tuple[Piece, ...]:
    return tuple(_piece(name, chunk, kinds) for chunk in chunked.chunks if len(chunk))


def _piece(name: str, array: pa.Array, kinds: str) -> Piece:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.ExtensionArray):
        return _piece(name, array.storage, kinds)
    if pa.types.is_dictionary(array.type):
        if kinds == "iu":
            raise UsageError(
                f"{name} is a dictionary, whose codes may differ from batch to batch", code="HG1406", where=name,
                value=str(array.type), expected="integer codes", hint="unify the dictionaries, then pass .indices",
            )  # fmt: skip
        array.validate(full=True)
        return _piece(name, array.dictionary_decode(), kinds)
    if pa.types.is_run_end_encoded(array.type):
        array.validate(full=True)
        return _piece(name, pc.run_end_decode(array), kinds)
    if pa.types.is_decimal(array.type) and "f" in kinds:
        return _piece(name, pc.cast(array, pa.float64(), safe=False), kinds)
    n = len(array)
    if pa.types.is_null(array.type):
        nothing = np.broadcast_to(np.zeros((), "?" if kinds == "b" else "i1"), (n,))
        return Piece(nothing, Validity(np.broadcast_to(np.zeros((), "?"), (n,))))
    is_number = pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)
    dtype = np.dtype(array.type.to_pandas_dtype()) if is_number else np.dtype("O")
    if dtype.kind not in kinds:
        raise _wrong(name, str(array.type), kinds)
    validity, data = array.buffers()
    valid = Validity(_bytes(validity), array.offset) if validity is not None and array.null_count else None
    if dtype.kind == "b":
        return Piece(_unpacked(data, array.offset, n), valid)
    values = _bytes(data)[array.offset * dtype.itemsize : (array.offset + n) * dtype.itemsize].view(dtype)
    return Piece(values, valid)


def _bytes(buffer: pa.Buffer) -> Array:
    return np.frombuffer(buffer, np.uint8)


def _unpacked(data: pa.Buffer, offset: int, n: int) -> Array:
    first = offset >> 3
    some = _bytes(data)[first : (offset + n + 7) >> 3]
    return np.unpackbits(some, bitorder="little")[offset - (first << 3) :][:n].view(np.bool_)
