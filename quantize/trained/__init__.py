"""Quantization-aware training (QAT): fake quantization in PyTorch, and trained int8 forms as data for any size."""
