#!/usr/bin/env bash
# Packages: litert-torch 0.10.0, torch 2.13.0
# Guess:    litert-torch converts F.interpolate(mode="nearest") as PyTorch computes it: the pixel at floor(i * in / out).
# Happens:  the file takes the pixel at floor((i + 0.5) * in / out), which is mode="nearest-exact". Converting raises nothing. For whole
#           enlargements both are equal; every reduction and every other factor takes other pixels: 8x8 to 4x4 has none of PyTorch's.
# Matters:  masks, feature pyramids and "small" branches are reduced by nearest in many restoration networks; half a pixel of shift
#           looks right in a picture, and a network with it is silently wrong.
# Sources:  https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.interpolate.html (the note on nearest and nearest-exact).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 litert-torch==0.10.0 ai-edge-litert==2.3.0
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import contextlib
import io

import litert_torch
import numpy as np
import torch
from torch.nn import functional as F

class Resize(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return F.interpolate(x, size=self.size, mode="nearest")

for before, after in ((8, 4), (9, 3), (6, 4), (4, 6), (4, 8)):
    x = torch.arange(float(before**2)).view(1, 1, before, before)
    with contextlib.redirect_stdout(io.StringIO()):
        made = torch.from_numpy(np.array(litert_torch.convert(Resize((after, after)).eval(), (x,))(x.numpy())))
    nearest, exact = (F.interpolate(x, size=(after, after), mode=mode) for mode in ("nearest", "nearest-exact"))
    other = int((made != nearest).sum())
    print(f"{before}x{before} to {after}x{after}: {other} of {after**2} pixels are not those of nearest in PyTorch; first row "
          f"{[int(n) for n in made[0, 0, 0]]}, PyTorch {[int(n) for n in nearest[0, 0, 0]]}")
    assert torch.equal(made, exact)
    assert (other == 0) == (after == 2 * before)
PY
