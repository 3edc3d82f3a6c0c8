"""TopK of equal values: of them ONNX gives the first, and OpenVINO any."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from .quirks_seen import single


def orders_equal_values_otherwise() -> bool:
    """The indices of eight of twelve values, three of them different."""
    import openvino as ov

    model = onnx.load_from_string(single((10, 12), "TopK", "image k", constants={"k": np.array([8])}, axis=3))
    model.graph.node[0].output.append("places")
    model.graph.output.append(helper.make_tensor_value_info("places", onnx.TensorProto.INT64, None))
    image = np.random.default_rng(0).integers(0, 3, (1, 3, 10, 12)).astype(np.float32)
    core = ov.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
    values, places = (np.array(compiled(image)[port]) for port in (0, 1))
    wanted = np.argsort(-image, axis=3, kind="stable")[..., :8]
    np.testing.assert_array_equal(values, np.take_along_axis(image, wanted, 3))
    return bool((places != wanted).any())
