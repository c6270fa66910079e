"""Three machine instructions that Numba does not offer by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic


def _ask(context: Any, builder: Any, signature: Any, args: Any, write: int) -> Any:
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
    i32 = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [address.type, i32, i32, i32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
    builder.call(function, [address, i32(write), i32(3), i32(1)])
    return context.get_dummy_value()


def _prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array[index], to be written soon; never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _ask(context, builder, signature, args, 1)

    return types.void(array, types.uint64), codegen


def _prefetch_read(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array[index], to be read soon; never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _ask(context, builder, signature, args, 0)

    return types.void(array, types.uint64), codegen


def _leading_zeros(typingctx: Any, value: Any) -> Any:
    """Zero bits above the highest set bit of a positive int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), codegen


leading_zeros = cast(Callable[..., Any], intrinsic(_leading_zeros))
prefetch = cast(Callable[..., Any], intrinsic(_prefetch))
prefetch_read = cast(Callable[..., Any], intrinsic(_prefetch_read))
