"""Machine instructions that Numba does not offer by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic


def _call_prefetch(builder: Any, address: Any, write: int, keep: int) -> None:
    i32 = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [address.type, i32, i32, i32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
    builder.call(function, [address, i32(write), i32(keep), i32(1)])


def _prefetch(write: int) -> Any:
    """Ask for the cache line of array[index], to be written (1) or read (0) soon; never faults."""

    def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
            _call_prefetch(builder, address, write=write, keep=3)
            return context.get_dummy_value()

        return types.void(array, types.uint64), codegen

    return intrinsic(prefetch)


def _prefetch_once(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line at an address, to be read once: it does not push others out of the larger caches."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call_prefetch(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()), write=0, keep=0)
        return context.get_dummy_value()

    return types.void(types.uint64), codegen


def _leading_zeros(typingctx: Any, value: Any) -> Any:
    """Zero bits above the highest set bit of a positive int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), codegen


def _load(bits: int) -> Any:
    """The little-endian integer of so many bits that starts at a byte of a uint8 array, at any address."""

    def load(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(bits).as_pointer())
            found = builder.load(address)
            found.align = 1
            return found

        return (types.uint64 if bits == 64 else types.int32)(array, types.int64), codegen

    return intrinsic(load)


def _store64(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """The 8 bytes from a byte of a uint8 array on, little-endian, at any address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer())
        builder.store(args[2], address).align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


def _copy_bytes(typingctx: Any, out: Any, o: Any, b: Any, i: Any, n: Any) -> Any:
    """out[o : o + n] = b[i : i + n] of uint8 arrays that do not overlap there."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = context.make_array(signature.args[0])(context, builder, args[0]).data
        source = context.make_array(signature.args[2])(context, builder, args[2]).data
        to, of = builder.gep(target, [args[1]]), builder.gep(source, [args[3]])
        i64, i1 = ir.IntType(64), ir.IntType(1)
        kind = ir.FunctionType(ir.VoidType(), [to.type, of.type, i64, i1])
        function = builder.module.declare_intrinsic("llvm.memcpy", [to.type, of.type, i64], kind)
        builder.call(function, [to, of, args[4], i1(0)])
        return context.get_dummy_value()

    return types.void(out, types.int64, b, types.int64, types.int64), codegen


def _ones(typingctx: Any, value: Any) -> Any:
    """How many bits of an uint64 are set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


def _bits_of(typingctx: Any, value: Any) -> Any:
    """The bits of a float as an unsigned integer of its size."""
    kind: Any = types.uint32 if value == types.float32 else types.uint64

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(kind.bitwidth))

    return kind(value), codegen


def _trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Zero bits below the lowest set bit of an uint64 other than 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.uint64(types.uint64), codegen


def _members_of_8(typingctx: Any, word: Any, width: Any, mask: Any, members: Any) -> Any:
    """Eight numbers of `width` (0 to 6) bits from the lowest of a word on: bit k tells whether `members` has the bit of
    the k-th. All eight at once: 0.2 ns a number, against 0.8 one after the other."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        eight = ir.VectorType(i64, 8)

        def spread(value: Any) -> Any:
            first = builder.insert_element(ir.Constant(eight, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            places = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
            return builder.shuffle_vector(first, ir.Constant(eight, ir.Undefined), places)

        steps = builder.mul(spread(args[1]), ir.Constant(eight, list(range(8))))
        numbers = builder.and_(builder.lshr(spread(args[0]), steps), spread(args[2]))
        hits = builder.trunc(builder.lshr(spread(args[3]), numbers), ir.VectorType(ir.IntType(1), 8))
        return builder.zext(builder.bitcast(hits, ir.IntType(8)), i64)

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint64), codegen


LINE = 64


def _not_zero(typingctx: Any, array: Any, at: Any) -> Any:
    """Which of the 64 bytes from array[at] (aligned, uint8) on are not 0, as the bits of an uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        line = ir.VectorType(ir.IntType(8), LINE)
        held = builder.load(builder.bitcast(builder.gep(data, [args[1]]), line.as_pointer()), align=LINE)
        some = builder.icmp_unsigned("!=", held, ir.Constant(line, [0] * LINE))
        return builder.bitcast(some, ir.IntType(LINE))

    return types.uint64(array, types.uint64), codegen


WIDE = 32


def _string_ends(typingctx: Any, array: Any, at: Any) -> Any:
    """Which of the 32 bytes from array[at] on (uint8) a JSON string cannot hold as they are: a quote, a backslash, a
    control character; as the bits of an uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        kind = ir.VectorType(ir.IntType(8), WIDE)
        held = builder.load(builder.bitcast(builder.gep(data, [args[1]]), kind.as_pointer()), align=1)
        found = builder.icmp_unsigned("<", held, ir.Constant(kind, [0x20] * WIDE))
        for sign in (0x22, 0x5C):
            found = builder.or_(found, builder.icmp_unsigned("==", held, ir.Constant(kind, [sign] * WIDE)))
        return builder.zext(builder.bitcast(found, ir.IntType(WIDE)), ir.IntType(64))

    return types.uint64(array, types.int64), codegen


def _stream_line(typingctx: Any, target: Any, at: Any, source: Any, start: Any) -> Any:
    """Copy 64 aligned bytes from source[start] to target[at] past the caches: nothing is read to write them."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = ir.VectorType(ir.IntType(32), LINE // 4).as_pointer()
        places = []
        for array, index, kind in ((args[0], args[1], signature.args[0]), (args[2], args[3], signature.args[2])):
            data = context.make_array(kind)(context, builder, array).data
            places.append(builder.bitcast(builder.gep(data, [index]), line))
        stored = builder.store(builder.load(places[1], align=LINE), places[0], align=LINE)
        one = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        stored.set_metadata("nontemporal", one)
        return context.get_dummy_value()

    return types.void(target, types.uint64, source, types.uint64), codegen


def _fence(typingctx: Any) -> Any:
    """All stores so far, streamed ones too, are seen by who is told of them afterwards."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


copy_bytes = cast(Callable[..., Any], intrinsic(_copy_bytes))
members_of_8 = cast(Callable[..., Any], intrinsic(_members_of_8))
load64 = cast(Callable[..., Any], _load(64))
load32 = cast(Callable[..., Any], _load(32))
store64 = cast(Callable[..., Any], intrinsic(_store64))
ones = cast(Callable[..., Any], intrinsic(_ones))
bits_of = cast(Callable[..., Any], intrinsic(_bits_of))
not_zero = cast(Callable[..., Any], intrinsic(_not_zero))
trailing_zeros = cast(Callable[..., Any], intrinsic(_trailing_zeros))
string_ends = cast(Callable[..., Any], intrinsic(_string_ends))
stream_line = cast(Callable[..., Any], intrinsic(_stream_line))
fence = cast(Callable[..., Any], intrinsic(_fence))
leading_zeros = cast(Callable[..., Any], intrinsic(_leading_zeros))
prefetch = cast(Callable[..., Any], _prefetch(1))
prefetch_read = cast(Callable[..., Any], _prefetch(0))
prefetch_once = cast(Callable[..., Any], intrinsic(_prefetch_once))
