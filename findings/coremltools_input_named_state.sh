#!/usr/bin/env bash
# Packages: coremltools 9.0, torch 2.13.0 (CPU)
# Guess:    inputs are called what `inputs=[ct.TensorType(name=...)]` calls them.
# Happens:  an input called `state` is called `state_workaround` in the model, from PyTorch and from a MIL program alike, without a
#           warning and although the name was asked for; every other name (`hidden`, `state_in`) is kept.
# Matters:  recurrent networks (video, speech) call it just that; the app that sets "state" finds no such input on the phone.
# Sources:  https://apple.github.io/coremltools/source/coremltools.converters.mil.input_types.html: TensorType's name is that of the
#           input; no name is said to be reserved.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check coremltools==9.0 numpy==2.4.6 torch==2.13.0
cd "$work"
venv/bin/python - 2>/dev/null <<'PY'
import coremltools as ct
import torch
from coremltools.converters.mil.mil import Builder as mb

class Recurrent(torch.nn.Module):
    def forward(self, image, memory):
        return image + memory

target, shape = ct.target.iOS17, (1, 3, 8, 8)
traced = torch.jit.trace(Recurrent(), (torch.rand(shape), torch.rand(shape)))

@mb.program(input_specs=[mb.TensorSpec(shape=shape)], opset_version=target)
def program(state):
    return mb.relu(x=state, name="y")

def inputs(model, names):
    made = ct.convert(model, convert_to="mlprogram", minimum_deployment_target=target,
                      inputs=[ct.TensorType(name=name, shape=shape) for name in names])
    return [each.name for each in made.get_spec().description.input]

for model, asked, given in ((traced, ["image", "hidden"], ["image", "hidden"]), (traced, ["image", "state_in"], ["image", "state_in"]),
                            (traced, ["image", "state"], ["image", "state_workaround"]), (program, ["state"], ["state_workaround"])):
    found = inputs(model, asked)
    print(type(model).__name__, asked, "->", found)
    assert found == given
PY
