"""Machine instructions that Numba does not offer by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic


def _prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array[index], to be written soon; never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(function, [address, i32(1), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


def _fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once: the same bits on every machine and for every vector width."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return a(a, a, a), codegen


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


copy_bytes = cast(Callable[..., Any], intrinsic(_copy_bytes))
load64 = cast(Callable[..., Any], _load(64))
load32 = cast(Callable[..., Any], _load(32))
store64 = cast(Callable[..., Any], intrinsic(_store64))


def _ones(typingctx: Any, value: Any) -> Any:
    """How many bits of an uint64 are set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


ones = cast(Callable[..., Any], intrinsic(_ones))
leading_zeros = cast(Callable[..., Any], intrinsic(_leading_zeros))
prefetch = cast(Callable[..., Any], intrinsic(_prefetch))
fma = cast(Callable[..., Any], intrinsic(_fma))
