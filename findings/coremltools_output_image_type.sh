#!/usr/bin/env bash
# Packages: coremltools 9.0
# Guess:    ct.convert(..., outputs=[ct.ImageType(...)]) makes an image output or fails, whatever the source is.
# Happens:  for a MIL program as source, inputs=[ct.ImageType] is obeyed and outputs is ignored without a word: the output is a
#           multi-array. Even a name that no output has is accepted.
# Matters:  the file has an image on one side only; the app that expects a pixel buffer notices on the phone. Setting
#           prog.functions["main"].set_output_types([...]) before ct.convert gives the image.
# Sources:  https://apple.github.io/coremltools/docs-guides/source/image-inputs.html (outputs) and the docstring of ct.convert, which
#           excepts exported PyTorch programs only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 coremltools==9.0
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb

def program():
    @mb.program(input_specs=[mb.TensorSpec((1, 3, 8, 8))], opset_version=ct.target.iOS16)
    def main(x):
        return mb.clip(x=x, alpha=np.float32(0), beta=np.float32(255), name="y")
    return main

def ends(source, name):
    made = ct.convert(source, inputs=[ct.ImageType(name="x", shape=(1, 3, 8, 8))], outputs=[ct.ImageType(name=name)],
                      convert_to="mlprogram", minimum_deployment_target=ct.target.iOS16)
    described = made.get_spec().description
    return described.input[0].type.WhichOneof("Type"), described.output[0].type.WhichOneof("Type"), described.output[0].name

asked, misnamed = ends(program(), "y"), ends(program(), "no_such_output")
source = program()
source.functions["main"].set_output_types([ct.ImageType(name="y")])
told = ends(source, "y")
print("outputs=[ImageType('y')]:             ", asked)
print("outputs=[ImageType('no_such_output')]:", misnamed)
print("set_output_types before:              ", told)
assert asked == misnamed == ("imageType", "multiArrayType", "y"), "outputs used to be ignored"
assert told == ("imageType", "imageType", "y")
PY
