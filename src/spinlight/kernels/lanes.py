"""Sixteen lanes in one register: explicit SIMD inside Numba functions.

LLVM vectorises simple loops, but gives up on the ones that matter here: several arrays that might overlap, early exits,
32-bit integers that Numba promotes to 64. A `Lanes` value is LLVM's own vector of sixteen 32-bit words; LLVM lowers it to
one AVX-512 register, two AVX2, or four SSE/NEON ones. Everything is a plain function of such values:

    x = load(array, i)            the sixteen words from flat position i of a contiguous array
    store(array, i, x)
    splat(2.0)                    one number in every lane (float32 or uint32, by its type)
    x + y, x - y, x * y, x ^ y, x & y, x | y, x << 3, x >> 3
    fma(x, y, z)                  x * y + z in one rounding
    less(x, y)                    a mask, for `select(mask, x, y)` and `any_lane(mask)`
    to_float(x), to_word(x)       numeric conversion;  as_float(x), as_word(x)  the same bits
    rotate(x, k), round_(x), square_root(x), minimum(x, y), maximum(x, y)

References:
    LLVM Language Reference Manual, vector types.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

LANES = 16
"""Chains that advance together, one per lane."""


class Lanes(types.Type):
    """Sixteen float32, sixteen uint32, or a mask of sixteen booleans."""

    def __init__(self, dtype: Any) -> None:
        """Name the type after its element."""
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


FLOATS = Lanes(types.float32)
WORDS = Lanes(types.uint32)
MASK = Lanes(types.boolean)

_LLVM = {
    FLOATS: ir.VectorType(ir.FloatType(), LANES),
    WORDS: ir.VectorType(ir.IntType(32), LANES),
    MASK: ir.VectorType(ir.IntType(1), LANES),
}


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, _LLVM[fe_type])


def _pointer(context, builder, array_type, array, index):
    """Return the address of sixteen elements from flat position `index`, no bounds checked."""
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.gep(data, [index])
    element = FLOATS if array_type.dtype == types.float32 else WORDS
    return builder.bitcast(start, _LLVM[element].as_pointer())


@intrinsic
def load(typing_context, array, index):
    """Return sixteen elements of a contiguous float32 or uint32 array from flat position `index`."""
    result = FLOATS if array.dtype == types.float32 else WORDS

    def codegen(context, builder, sig, args):
        return builder.load(_pointer(context, builder, sig.args[0], *args), align=4)

    return result(array, types.intp), codegen


@intrinsic
def store(typing_context, array, index, value):
    """Write sixteen elements of a contiguous float32 or uint32 array from flat position `index`."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], _pointer(context, builder, sig.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def splat(typing_context, value):
    """Return one float32 or uint32 in every lane."""
    result = FLOATS if isinstance(value, types.Float) else WORDS

    def codegen(context, builder, sig, args):
        scalar = context.cast(builder, args[0], sig.args[0], sig.return_type.dtype)
        vector = ir.Constant(_LLVM[sig.return_type], ir.Undefined)
        vector = builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(vector, vector, zeros)

    return result(value), codegen


def _llvm_function(builder, name, kind, count):
    """Return the LLVM intrinsic `name` on `count` vectors of one kind."""
    suffix = "v16f32" if kind is FLOATS else "v16i32"
    vector = _LLVM[kind]
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * count), f"{name}.{suffix}")


@intrinsic
def fma(typing_context, x, y, z):
    """Return x * y + z with one rounding where the machine can."""

    def codegen(context, builder, sig, args):
        return builder.call(_llvm_function(builder, "llvm.fmuladd", FLOATS, 3), args)

    return FLOATS(FLOATS, FLOATS, FLOATS), codegen


def _unary(name):
    @intrinsic
    def function(typing_context, x):
        def codegen(context, builder, sig, args):
            return builder.call(_llvm_function(builder, name, FLOATS, 1), args)

        return FLOATS(FLOATS), codegen

    return function


def _binary(name):
    @intrinsic
    def function(typing_context, x, y):
        def codegen(context, builder, sig, args):
            return builder.call(_llvm_function(builder, name, FLOATS, 2), args)

        return FLOATS(FLOATS, FLOATS), codegen

    return function


round_ = _unary("llvm.rint")
square_root = _unary("llvm.sqrt")
minimum = _binary("llvm.minnum")
maximum = _binary("llvm.maxnum")


@intrinsic
def rotate(typing_context, x, bits):
    """Return the words rotated left by a constant number of bits."""

    def codegen(context, builder, sig, args):
        count = builder.trunc(args[1], ir.IntType(32)) if args[1].type.width > 32 else args[1]
        vector = ir.Constant(_LLVM[WORDS], ir.Undefined)
        vector = builder.insert_element(vector, count, ir.Constant(ir.IntType(32), 0))
        vector = builder.shuffle_vector(vector, vector, ir.Constant(_LLVM[WORDS], [0] * LANES))
        return builder.call(_llvm_function(builder, "llvm.fshl", WORDS, 3), [args[0], args[0], vector])

    return WORDS(WORDS, types.int64), codegen


def _conversion(operation, source, target):
    @intrinsic
    def function(typing_context, x):
        def codegen(context, builder, sig, args):
            return getattr(builder, operation)(args[0], _LLVM[target])

        return target(source), codegen

    return function


to_float = _conversion("uitofp", WORDS, FLOATS)
signed_to_float = _conversion("sitofp", WORDS, FLOATS)
to_word = _conversion("fptosi", FLOATS, WORDS)
as_float = _conversion("bitcast", WORDS, FLOATS)
as_word = _conversion("bitcast", FLOATS, WORDS)


@intrinsic
def less(typing_context, x, y):
    """Return the mask of lanes with x < y."""

    def codegen(context, builder, sig, args):
        return builder.fcmp_ordered("<", *args)

    return MASK(FLOATS, FLOATS), codegen


@intrinsic
def select(typing_context, mask, x, y):
    """Return x in the lanes of the mask and y in the others."""

    def codegen(context, builder, sig, args):
        return builder.select(*args)

    return x(MASK, x, x), codegen


@intrinsic
def any_lane(typing_context, mask):
    """Return whether the mask holds in any lane."""

    def codegen(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(MASK), codegen


def _operator(function, of_floats, of_words):
    """Give an operator its meaning on two float and on two word vectors, and on a word vector and an integer."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            left, right = args
            if not isinstance(left, Lanes):
                return None
            if right == left and (of_floats if left == FLOATS else of_words):
                return signature(left, left, left)
            if left == WORDS and isinstance(right, types.Integer):
                return signature(WORDS, WORDS, types.int64)
            return None

    for kind, name in ((FLOATS, of_floats), (WORDS, of_words)):
        if name:

            @lower_builtin(function, kind, kind)
            def _lower(context, builder, sig, args, name=name):
                return getattr(builder, name)(*args)

    if of_words:

        @lower_builtin(function, WORDS, types.int64)
        def _lower_integer(context, builder, sig, args):
            count = builder.trunc(args[1], ir.IntType(32))
            vector = ir.Constant(_LLVM[WORDS], ir.Undefined)
            vector = builder.insert_element(vector, count, ir.Constant(ir.IntType(32), 0))
            vector = builder.shuffle_vector(vector, vector, ir.Constant(_LLVM[WORDS], [0] * LANES))
            return getattr(builder, of_words)(args[0], vector)


_operator(operator.add, "fadd", "add")
_operator(operator.sub, "fsub", "sub")
_operator(operator.mul, "fmul", "mul")
_operator(operator.truediv, "fdiv", None)
_operator(operator.xor, None, "xor")
_operator(operator.and_, None, "and_")
_operator(operator.or_, None, "or_")
_operator(operator.lshift, None, "shl")
_operator(operator.rshift, None, "lshr")
