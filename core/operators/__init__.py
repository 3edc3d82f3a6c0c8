"""Everything that clearport knows of an ONNX operator, in one record each: ``record.py`` says what a record holds."""
