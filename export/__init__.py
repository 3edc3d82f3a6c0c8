"""Graphs and targets: ONNX, the passes over it, and one lowering per target."""
