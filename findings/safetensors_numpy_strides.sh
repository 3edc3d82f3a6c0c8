#!/usr/bin/env bash
# Packages: safetensors 0.8.0 (and 0.5.3 for comparison), ncnn 1.0.20261020
# Guess:    saving a transposed numpy view (weights turned from OIHW to HWIO, say) saves the values of the view, as numpy.save and
#           older safetensors do, or raises an error, as safetensors.torch does.
# Happens:  safetensors.numpy 0.8.0 takes the view's shape and the bytes of the array behind it: the file loads without complaint
#           and holds other values. ncnn.Mat(array) reads a transposed view (HWC to CHW, every picture) in the same way.
# Matters:  layouts are changed by transposed views everywhere in this field; the network or the picture is scrambled and
#           nothing says so. numpy.ascontiguousarray before both calls.
# Sources:  the docstring of safetensors.numpy.save asks for contiguous tensors, without saying that nobody checks
#           (https://huggingface.co/docs/safetensors/api/numpy); ncnn's Python README shows Mat(array) with no condition.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 safetensors==0.8.0 ncnn==1.0.20261020
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$work/older" safetensors==0.5.3
cd "$work"
cat > trip.py <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

view = np.arange(6, dtype=np.float32).reshape(2, 3).T
back = load(save({"w": view}))["w"]
print(f"safetensors {safetensors.__version__}: saved {view.tolist()}, loaded {back.tolist()}")
raise SystemExit(0 if np.array_equal(view, back) else 3)
PY
PYTHONPATH=older venv/bin/python trip.py  # the older release saves the view's values
code=0
venv/bin/python trip.py || code=$?
[ "$code" -eq 3 ] || { echo "safetensors 0.8.0 used to save other values (exit code $code)"; exit 1; }
venv/bin/python - <<'PY'
import ncnn
import numpy as np
from safetensors.numpy import load, save

view = np.arange(24, dtype=np.float32).reshape(2, 4, 3).transpose(2, 0, 1)
wrong, right = np.array(ncnn.Mat(view).clone()), np.array(ncnn.Mat(np.ascontiguousarray(view)).clone())
print("ncnn: first row", view[0, 0].tolist(), "is read as", wrong[0, 0].tolist())
assert wrong.shape == right.shape == view.shape
assert np.array_equal(right, view) and not np.array_equal(wrong, view), "ncnn used to ignore strides"
packed = np.ascontiguousarray(view)
assert np.array_equal(load(save({"w": packed}))["w"], view)
PY
