"""One cache line of numbers as a value in a leaf: 16 float32 or 8 float64, whatever registers the machine has.

LLVM vectorises only innermost loops, so a plain loop over lanes keeps its sums in memory between two taps: such a
direct filter took 1.3x (sigma 2) to 2.5x (sigma 8) the time. Here the sums stay in registers. Each lane is computed
by itself, so a result's bits do not depend on the width of the registers that LLVM cuts a line into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

LINE = 64
"""Bytes of a vector: a cache line, and an AVX-512 register. On narrower machines it is cut into two or four."""


class Vector(types.Type):
    """LINE bytes of one float type."""

    def __init__(self, scalar: Any) -> None:
        self.scalar = scalar
        super().__init__(name=f"vector({scalar})")


def _model(manager: Any, vector: Any) -> Any:
    primitive: Any = models.PrimitiveModel
    return primitive(manager, vector, _llvm(vector.scalar))


register_model(Vector)(_model)


def _llvm(scalar: Any) -> Any:
    kind = ir.FloatType() if scalar == types.float32 else ir.DoubleType()
    return ir.VectorType(kind, LINE * 8 // scalar.bitwidth)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    first = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    return builder.bitcast(first, _llvm(kind.dtype).as_pointer())


def _read(builder: Any, kind: Any, address: Any) -> Any:
    return builder.load(address, align=kind.dtype.bitwidth // 8, typ=_llvm(kind.dtype))


def _load(typingctx: Any, array: Any, index: Any) -> Any:
    """The vector at array[index] and on; array is 1-D and contiguous, the index need not be aligned."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _read(builder, array, _address(context, builder, array, *args))

    return Vector(array.dtype)(array, types.int64), codegen


def _store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index] and on = vector."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, array, args[0], args[1])
        builder.store(args[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), codegen


def _spread(typingctx: Any, scalar: Any) -> Any:
    """The scalar in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _llvm(scalar)
        empty = ir.Constant(kind, ir.Undefined)
        return _shuffle(builder, builder.insert_element(empty, args[0], ir.IntType(32)(0)), empty, [0] * kind.count)

    return Vector(scalar)(scalar), codegen


def _plus(typingctx: Any, a: Any, b: Any) -> Any:
    """a + b."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return a(a, b), codegen


def _times(typingctx: Any, a: Any, b: Any) -> Any:
    """a * b."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args)

    return a(a, b), codegen


def _fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once: the same bits on every machine."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.fma.v{kind.count}f{a.scalar.bitwidth}"
        function: Any = cgutils
        function = function.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, args)

    return a(a, b, c), codegen


def _turn(typingctx: Any, source: Any, at: Any, pitch: Any, target: Any, to: Any, step: Any) -> Any:
    """target[to + j * step + i] = source[at + i * pitch + j] for a square of as many rows as a vector has lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read, at, pitch, written, to, step = args
        size = _llvm(source.dtype).count
        rows = []
        for i in range(size):
            index = builder.add(at, builder.mul(pitch, ir.Constant(pitch.type, i)))
            rows.append(_read(builder, source, _address(context, builder, source, read, index)))
        for j, row in enumerate(_transposed(builder, rows)):
            index = builder.add(to, builder.mul(step, ir.Constant(step.type, j)))
            address = _address(context, builder, target, written, index)
            builder.store(row, address, align=target.dtype.bitwidth // 8)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(source, whole, whole, target, whole, whole), codegen


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """A round for each bit of the row number. Inside a register's 16 bytes numbers are interleaved, then whole 16 bytes
    are sorted into even and odd: all of them cheap shuffles (interleaving whole vectors each round took 1.37x)."""
    size = len(rows)
    lane = size // 4
    picked = [[(row, column) for column in range(size)] for row in range(size)]
    bit = 1
    while bit < size:
        low, high = _interleaved(size, lane, bit) if bit < lane else _sorted_lanes(size, lane)
        for i in range(size):
            if not i & bit:
                a, b = rows[i], rows[i + bit]
                rows[i], rows[i + bit] = _shuffle(builder, a, b, low), _shuffle(builder, a, b, high)
                both = picked[i] + picked[i + bit]
                picked[i], picked[i + bit] = [both[k] for k in low], [both[k] for k in high]
        bit *= 2
    return [row for _, row in sorted(zip((p[0][1] for p in picked), rows, strict=True), key=lambda pair: pair[0])]


def _interleaved(size: int, lane: int, run: int) -> tuple[list[int], list[int]]:
    """Which of two vectors' numbers to take: runs of both in turn, of the first and of the second half of each lane."""
    halves: list[list[int]] = []
    for half in (0, lane // 2):
        starts = [base + half + k for base in range(0, size, lane) for k in range(0, lane // 2, run)]
        halves.append([vector + start + k for start in starts for vector in (0, size) for k in range(run)])
    return halves[0], halves[1]


def _sorted_lanes(size: int, lane: int) -> tuple[list[int], list[int]]:
    """The even and the odd lanes of two vectors."""
    even = [base + k for base in range(0, 2 * size, 2 * lane) for k in range(lane)]
    return even, [k + lane for k in even]


def _shuffle(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), picks))


fma = cast(Callable[..., Any], intrinsic(_fma))
load = cast(Callable[..., Any], intrinsic(_load))
plus = cast(Callable[..., Any], intrinsic(_plus))
spread = cast(Callable[..., Any], intrinsic(_spread))
store = cast(Callable[..., Any], intrinsic(_store))
times = cast(Callable[..., Any], intrinsic(_times))
turn = cast(Callable[..., Any], intrinsic(_turn))
