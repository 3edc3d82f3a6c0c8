#!/usr/bin/env bash
# Packages: executorch 1.5.1, torch 2.13.0
# Guess:    an ExecuTorch method that gets a channels_last tensor (what a picture permuted from HWC is) reads it right, or refuses it
#           as it refuses another size or type.
# Happens:  it reads the memory as if it were in the order of the example of the export: no error, and a scrambled result. A tensor of
#           another size or of float64 is refused with an error. input.contiguous() gives the right result.
# Matters:  HWC pictures become CHW by permute, a view; the same call is right in PyTorch, so the model looks badly converted. With a
#           convolution that treats channels alike the result may even look plausible.
# Sources:  https://docs.pytorch.org/executorch/stable/runtime-python-api-reference.html (execute: inputs, no condition on their
#           memory format); dim order is part of the program's tensor metadata (schema/program.fbs).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 executorch==1.5.1
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime

torch.manual_seed(0)
net = torch.nn.Conv2d(3, 8, 3, padding=1).eval()
picture = torch.rand(16, 16, 3).permute(2, 0, 1)[None]  # HWC to NCHW: a view
assert picture.is_contiguous(memory_format=torch.channels_last)
for backend, partitioner in (("XNNPACK", [XnnpackPartitioner()]), ("portable kernels", [])):
    lowered = to_edge_transform_and_lower(torch.export.export(net, (torch.rand(1, 3, 16, 16),)), partitioner=partitioner)
    program = Runtime.get().load_program(lowered.to_executorch().buffer)
    method = program.load_method("forward")
    right = float((method.execute([picture.contiguous()])[0] - net(picture)).abs().max())
    try:
        wrong = float((method.execute([picture])[0] - net(picture)).abs().max())
    except RuntimeError as error:
        wrong = error
    refused = []
    for other in (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16).double()):
        try:
            method.execute([other])
        except RuntimeError:
            refused.append(f"{tuple(other.shape)} {other.dtype}")
    print(f"{backend}: contiguous off by {right:.1e}, channels_last off by {wrong}; refused: {refused}", flush=True)
    assert right < 1e-4 and len(refused) == 2
    assert isinstance(wrong, float) and wrong > 0.1, "channels_last used to be misread in silence"
PY
