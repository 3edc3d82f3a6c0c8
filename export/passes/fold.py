"""Constant folding and removal of no-ops.

Given: a graph as the exporter wrote it: shapes computed by nodes, constants cast at run time, biases of zeros that are
computed, batch normalization, Identity, ``x + 0``, a Pad before a Conv, equal subexpressions.
Result: constants are initializers, batch normalization and zero padding are inside the convolutions, dead and duplicate
nodes are removed. All rules are onnxscript's, except those that merge clamps (wrong for disjoint ranges) and the one
that drops a ScatterND of all rows (it ignores the reduction).
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

from clearport.base import Graph
from clearport.export.passes import constants
from clearport.export.passes.plain import functions
from clearport.export.passes.rewriting import substitute
from clearport.graph import nodes as graphs

_FOLDABLE = 1 << 24
"""Maximum bytes of a folded operand; onnxscript's default is smaller than a large kernel."""

_ROUNDS = 2
"""Number of folding rounds, since rules create new constants."""
_MORE_ROUNDS = 8
"""Maximum rounds in which newly known sizes make others known."""

_RULES = (
    *rules.mul_by_1_rule.commute(),
    *rules.add_0_rule.commute(),
    rules.sub_0_rule,
    rules.div_by_1_rule,
    rules.one_reshape_matmul_reshape_rule,
    rules.two_reshapes_matmul_reshape_rule,
    rules.cast_constant_of_shape_rule,
    rules.cast_constant_of_shape_without_value_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
    rules.cast_cast_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.flatten_to_reshape_rule,
    rules.reshape_reshape_rule,
    rules.slice_split_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.squeeze_reshape_1d_rule,
    rules.no_op_dynamic_scatter_nd_rule,
    rules.normalize_pad_format_conv_rule,
    rules.fuse_pad_into_conv_rule,
    rules.fuse_batchnorm_into_conv_rule,
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.fuse_batchnorm_into_gemm_rule,
    rules.remove_optional_bias_from_conv_rule,
    rules.remove_optional_bias_from_conv_transpose_rule,
    rules.remove_optional_bias_from_gemm_rule,
)


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    folded = graphs.clone(graph)
    common.InlinePass()(folded.model)
    _spell_group_normalization(folded.model)
    for _ in range(_ROUNDS):
        _fold(folded.model)
    for _ in range(_MORE_ROUNDS):
        if not constants.run(folded.model):
            break
        _fold(folded.model)
    for tidy in _TIDYING:
        tidy(folded.model)
    for value in folded.model.graph.initializers.values():
        _own(value)
    return folded


def _spell_group_normalization(model: ir.Model) -> None:
    """Rewrite as InstanceNormalization first: ONNX's shape inference stops at the original operator."""
    for node in [node for node in model.graph if node.op_type == "GroupNormalization"]:
        common.ShapeInferencePass()(model)
        value = functions.group_normalization(node)
        if value is not None:
            substitute(node, value)


def _fold(model: ir.Model) -> None:
    optimizer.fold_constants_ir(
        model, onnx_shape_inference=True, input_size_limit=_FOLDABLE, output_size_limit=_FOLDABLE
    )
    rewriter.rewrite(model, _RULES)


_TIDYING = (
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    common.DeduplicateInitializersPass(),
    common.CommonSubexpressionEliminationPass(),
    common.OutputFixPass(),
    common.NameFixPass(),
)


def _own(value: ir.Value) -> None:
    """Give an initializer a plain tensor of its own name, whatever class of tensor the optimizer left in it."""
    array = graphs.constant(value)
    assert array is not None
    value.const_value = ir.tensor(array, name=value.name)
