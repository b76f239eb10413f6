#!/usr/bin/env python3
"""Writes the models of tests/models.rs beside itself. Needs the package `onnx`; the files are in the repository.

logistic.onnx    one input `x` of three floats a row; outputs `label` and `probabilities` of two classes, as converted
                 classifiers have them: the second is 1 / (1 + exp(-(x0 - 2 x1 + 0.5 x2 - 0.25)))
fixed.onnx       the same with batches of exactly four rows of doubles, and one output: x0 - 2 x1 + 0.5 x2 - 0.25
two_inputs.onnx  takes two matrices, which nobody can give it
endless.onnx     counts to 4e9 before it answers
"""
import pathlib

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

HERE = pathlib.Path(__file__).parent
WEIGHTS, BIAS = [[1.0], [-2.0], [0.5]], [-0.25]


def write(name, nodes, inputs, outputs, constants):
    graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, HERE / f"{name}.onnx")


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


floats = {"w": np.array(WEIGHTS, np.float32), "b": np.array(BIAS, np.float32), "one": np.array([1], np.float32)}
write(
    "logistic",
    [
        helper.make_node("Gemm", ["x", "w", "b"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ],
    [tensor("x", TensorProto.FLOAT, [None, 3])],
    [tensor("label", TensorProto.INT64, [None]), tensor("probabilities", TensorProto.FLOAT, [None, 2])],
    floats,
)
write(
    "fixed",
    [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
    [tensor("x", TensorProto.DOUBLE, [4, 3])],
    [tensor("y", TensorProto.DOUBLE, [4, 1])],
    {"w": np.array(WEIGHTS), "b": np.array(BIAS)},
)
write(
    "two_inputs",
    [helper.make_node("Add", ["a", "b"], ["y"])],
    [tensor("a", TensorProto.FLOAT, [None, 1]), tensor("b", TensorProto.FLOAT, [None, 1])],
    [tensor("y", TensorProto.FLOAT, [None, 1])],
    {},
)
body = helper.make_graph(
    [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["sum", "step"], ["next"])],
    "body",
    [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, []), tensor("sum", TensorProto.FLOAT, [None, 3])],
    [tensor("on", TensorProto.BOOL, []), tensor("next", TensorProto.FLOAT, [None, 3])],
    [numpy_helper.from_array(np.array([1], np.float32), "step")],
)
write(
    "endless",
    [helper.make_node("Loop", ["times", "true", "x"], ["y"], body=body)],
    [tensor("x", TensorProto.FLOAT, [None, 3])],
    [tensor("y", TensorProto.FLOAT, [None, 3])],
    {"times": np.array(4_000_000_000, np.int64), "true": np.array(True)},
)
