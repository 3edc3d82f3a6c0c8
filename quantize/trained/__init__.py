"""int8 forms that were trained (QAT): fake quantization in PyTorch, and the form as data for any size of the graph."""
