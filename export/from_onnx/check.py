"""Validation of ONNX files: known versions, deterministic operators, and an order in which each value is written before
it is read. All unsupported operators are reported at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from clearport.errors import BadInput
from clearport.export.from_onnx import lift_fused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    Nodes = Iterable[onnx.NodeProto]

OPSETS = range(9, 27)
IR_VERSIONS = range(3, 14)
DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})

_MOST_TOLD = 12

_REFUSED = {
    "Loop": "a loop: unroll it in the network, or export one step of it with the state as an input and an output",
    "Scan": "a loop: unroll it in the network, or export one step of it with the state as an input and an output",
    **dict.fromkeys(
        ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"),
        "it draws random numbers, which no file can reproduce: remove the noise, or make it an input",
    ),
    **dict.fromkeys(
        ("NonZero", "Unique", "Compress", "NonMaxSuppression"),
        "its output size depends on the picture: leave it to the app, after the network",
    ),
}
_IF = "a branch that the picture decides: export the branch that you need"
_SEQUENCES = ("Sequence", "Optional", "SplitToSequence", "ConcatFromSequence", "String", "Tfidf", "Regex")


def opset_of(imports: Iterable[onnx.OperatorSetIdProto], where: str) -> int:
    """The version of ONNX's own operators that a model or function was written for.

    Raises:
        BadInput: there is none, or none that is known.
    """
    versions = [entry.version for entry in imports if entry.domain in DEFAULT_DOMAINS]
    if not versions:
        raise BadInput(f"{where}: it declares no opset version")
    if max(versions) not in OPSETS:
        raise BadInput(
            f"{where}: written for opset {max(versions)}; clearport reads {OPSETS[0]} to {OPSETS[-1]}: export it again "
            "with an opset in this range, such as 20"
        )
    return max(versions)


def check(model: onnx.ModelProto, path: Path) -> None:
    """Check that a model can be exported, and sort its nodes topologically if necessary.

    Raises:
        BadInput: it cannot; the message has the reason and a remedy.
    """
    if model.ir_version not in IR_VERSIONS:
        raise BadInput(
            f"{path}: ONNX file format {model.ir_version}; clearport reads {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}"
        )
    opset_of(model.opset_import, str(path))
    _check_names(model, path)
    _check_operators(model, path)
    put_in_order(model.graph, path)
    for function in model.functions:
        opset_of(function.opset_import, f"{path}: function {function.name}")
    _check_functions(model, path)
    _copy_inputs(model.graph)
    complete_outputs(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path}: not a valid ONNX model: {_short(error)}") from error


def _copy_inputs(graph: onnx.GraphProto) -> None:
    """Replace outputs that are inputs by copies (Identity) with names of their own."""
    inputs = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    taken = inputs | {name for node in graph.node for name in node.output}
    for value in graph.output:
        if value.name in inputs:
            copied = next(word for n in range(len(taken) + 1) if (word := f"{value.name}_given{n or ''}") not in taken)
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [copied]))
            taken.add(copied)
            value.name = copied


def complete_outputs(model: onnx.ModelProto) -> None:
    """Add inferred types and shapes to outputs that lack them: runtimes need neither, but ONNX requires both."""
    bare = [value for value in model.graph.output if not _described(value)]
    if not bare:
        return
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return  # the checker reports the error
    known = {value.name: value for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)}
    for value in bare:
        if value.name in known and _described(known[value.name]):
            value.type.CopyFrom(known[value.name].type)


def _described(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    if kind.WhichOneof("value") not in {None, "tensor_type"}:
        return True  # non-tensors are refused elsewhere
    return bool(kind.tensor_type.elem_type) and kind.tensor_type.HasField("shape")


def refusals(nodes: Nodes, functions: frozenset[tuple[str, str]]) -> list[str]:
    """The unsupported nodes, also of subgraphs, each with its layer and a remedy."""
    found = []
    for node in every_node(nodes):
        why = _refusal(node, functions)
        if why:
            found.append(f"{node.op_type} {_layer(node)!r}: {why}")
    return found


def told(found: list[str]) -> str:
    """Refusals in one message."""
    more = len(found) - _MOST_TOLD
    return "; ".join(found[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")


def every_node(nodes: Nodes) -> Iterator[onnx.NodeProto]:
    """All nodes, including those of subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []
            for graph in (*graphs, *attribute.graphs):
                yield from every_node(graph.node)


def _check_names(model: onnx.ModelProto, path: Path) -> None:
    """Check that names are valid UTF-8 (protobuf returns others as bytes)."""
    nodes = [*every_node(model.graph.node), *(node for f in model.functions for node in every_node(f.node))]
    names = [name for node in nodes for name in (node.op_type, node.domain, node.name, *node.input, *node.output)]
    names += [value.name for value in (*model.graph.input, *model.graph.output, *model.graph.initializer)]
    names += [word for function in model.functions for word in (function.name, function.domain)]
    if not all(isinstance(name, str) for name in names):
        raise BadInput(f"{path}: a name in it is not valid UTF-8")


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    functions = frozenset((function.domain, function.name) for function in model.functions)
    found = refusals(model.graph.node, functions)
    for function in model.functions:
        found += refusals(function.node, functions)
    if found:
        raise BadInput(f"{path}: operators that cannot be exported: {told(found)}")


def _refusal(node: onnx.NodeProto, functions: frozenset[tuple[str, str]]) -> str:
    if (node.domain, node.op_type) in functions:
        return ""
    if node.domain == lift_fused.DOMAIN and node.op_type in lift_fused.OPERATORS:
        return ""
    if node.domain not in DEFAULT_DOMAINS:
        return (
            f"an operator of {node.domain}, which no other runtime has: export with ONNX's own operators (a file that "
            "ONNX Runtime or another tool optimized holds its kernels: give the file from before)"
        )
    if node.op_type.startswith(_SEQUENCES):
        return "it computes with lists or texts, which no target has: compute with tensors"
    return _REFUSED.get(node.op_type, "")


def if_refusal(layer: str) -> str:
    """The refusal of a branch that remains after constant folding."""
    return f"If {layer!r}: {_IF}"


def put_in_order(graph: onnx.GraphProto, path: Path) -> None:
    """Sort the nodes topologically; nodes already in order keep it.

    Raises:
        BadInput: they form a cycle, or read a value that nothing writes.
    """
    written = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    written |= {tensor.values.name for tensor in graph.sparse_initializer} | {""}
    needs = [_reads(node) for node in graph.node]
    order: list[int] = []
    _check_written(graph, needs, written, path)
    waiting: dict[str, list[int]] = {}
    missing = [len({name for name in need if name not in written}) for need in needs]
    for index, need in enumerate(needs):
        for name in {name for name in need if name not in written}:
            waiting.setdefault(name, []).append(index)
    ready = [index for index in reversed(range(len(needs))) if not missing[index]]
    while ready:
        index = ready.pop()
        order.append(index)
        for name in set(graph.node[index].output):
            for reader in reversed(waiting.pop(name, ())):
                missing[reader] -= 1
                if not missing[reader]:
                    ready.append(reader)
    if len(order) < len(needs):
        stuck = [_layer(graph.node[index]) for index in range(len(needs)) if missing[index]]
        raise BadInput(f"{path}: its operators form a cycle: {', '.join(map(repr, stuck[:4]))}")
    if not _in_order(graph, needs, written):
        nodes = [graph.node[index] for index in order]
        del graph.node[:]
        graph.node.extend(nodes)


def _in_order(graph: onnx.GraphProto, needs: list[set[str]], given: set[str]) -> bool:
    written = set(given)
    for node, need in zip(graph.node, needs, strict=True):
        if not need <= written:
            return False
        written.update(node.output)
    return True


def _check_written(graph: onnx.GraphProto, needs: list[set[str]], given: set[str], path: Path) -> None:
    writers: dict[str, str] = {}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in writers or name in given:
                raise BadInput(
                    f"{path}: value {name!r} is written twice: by {writers.get(name, 'the inputs')!r} and again"
                )
            writers[name] = _layer(node)
    for node, need in zip(graph.node, needs, strict=True):
        for name in sorted(need):
            if name not in given and name not in writers:
                raise BadInput(f"{path}: {node.op_type} {_layer(node)!r} reads {name!r}, which nothing writes")
    for value in graph.output:
        if value.name not in given and value.name not in writers:
            raise BadInput(f"{path}: nothing writes its output {value.name!r}")


def _reads(node: onnx.NodeProto) -> set[str]:
    """The inputs of a node, including outer values read by its subgraphs."""
    found = set(filter(None, node.input))
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []
        for graph in (*graphs, *attribute.graphs):
            own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            own |= {name for inner in graph.node for name in inner.output}
            found |= {name for inner in graph.node for name in _reads(inner)} - own
            found |= {value.name for value in graph.output} - own
    return found - {""}


def _check_functions(model: onnx.ModelProto, path: Path) -> None:
    """Refuse functions that call each other recursively."""
    calls: Mapping[tuple[str, str], set[tuple[str, str]]] = {
        (f.domain, f.name): {(n.domain, n.op_type) for n in every_node(f.node)} for f in model.functions
    }
    open_ = {name: called & set(calls) for name, called in calls.items()}
    while open_:
        done = [name for name, called in open_.items() if not called & set(open_)]
        if not done:
            raise BadInput(
                f"{path}: its functions call each other recursively: {', '.join(sorted(n for _, n in open_))}"
            )
        for name in done:
            del open_[name]


def _layer(node: onnx.NodeProto) -> str:
    return node.name or next(iter(filter(None, node.output)), "")


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:400] or type(error).__name__
