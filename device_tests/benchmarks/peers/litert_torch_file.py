"""Convert a network of tests/foreign with litert-torch, in an environment of its own that has no clearport.

    PEER/bin/python litert_torch_file.py JOB.json

The job names the network, its inputs (``.npz``, arrays in order), ``fp32`` or ``int8``, and the ``.tflite`` file to
write. int8 is static: 8-bit weights and activations by ai-edge-quantizer, calibrated on the arrays of ``calibration``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.foreign.zoo import networks


def main() -> int:
    """Write the file; an exception of the peer ends the process with its message."""
    job = json.loads(Path(sys.argv[1]).read_text())
    import litert_torch

    module = networks()[job["network"]].module()
    given = tuple(torch.from_numpy(array) for array in _arrays(job["inputs"]))
    path = Path(job["output"])
    litert_torch.convert(module, given).export(str(path))
    if job["precision"] == "int8":
        _quantize(path, [_arrays(each) for each in job["calibration"]])
    return 0


def _arrays(path: str) -> list[np.ndarray]:
    with np.load(path) as saved:
        return [saved[name] for name in saved.files]


def _quantize(path: Path, examples: list[list[np.ndarray]]) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    (signature, names), *_ = Interpreter(str(path)).get_signature_list().items()
    of_float = quantizer.Quantizer(str(path))
    of_float.load_quantization_recipe(recipe.static_wi8_ai8())
    feeds = [dict(zip(names["inputs"], each, strict=True)) for each in examples]
    statistics = of_float.calibrate({signature: feeds})
    path.unlink()
    of_float.quantize(statistics).export_model(str(path))


if __name__ == "__main__":
    raise SystemExit(main())
