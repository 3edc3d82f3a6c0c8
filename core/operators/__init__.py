"""One record per ONNX operator, with all that clearport knows about it; ``record.py`` documents the fields."""
