#!/usr/bin/env bash
# Packages: litert-torch 0.10.0, torch 2.13.0
# Guess:    litert-torch converts a value that is repeated or expanded along an axis between two convolutions, as in channel attention.
# Happens:  its pass that keeps convolutions in NHWC moves Tensor.repeat and Tensor.expand along without changing their axes: one channel
#           repeated eight times becomes rows repeated eight times. Conversion ends with an error about shapes, deep in the pass or in
#           the converter. Without convolutions around it, or with broadcasting in its place, the same arithmetic converts and is right.
# Matters:  luma or a mask repeated to the channels of features is a common idiom, and the error names neither repeat nor expand.
# Do:       leave repeat and expand to broadcasting: x * mask.
# Sources:  litert_torch/_convert/fx_passes/optimize_layout_transposes_pass (of the installed package).
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

class Attended(torch.nn.Module):
    """A convolution, something, a convolution."""

    def __init__(self, middle, around=True):
        super().__init__()
        self.middle = middle
        self.first, self.last = (
            (torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 3, 3, padding=1)) if around else (torch.nn.Identity(),) * 2
        )

    def forward(self, x):
        return self.last(self.middle(self.first(x)))

def off(module, x):
    """The largest difference of the converted module, or the error."""
    torch.manual_seed(0)
    right = module.eval()(x).detach().numpy()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            made = np.array(litert_torch.convert(module, (x,))(x.numpy()))
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:110]}"
    return float(np.abs(made - right).max())

x = torch.rand(1, 3, 32, 48)
cases = {
    "repeat between convolutions": (Attended(lambda v: v * v[:, :1].repeat(1, 8, 1, 1)), x),
    "expand between convolutions": (Attended(lambda v: v - v.mean((2, 3), keepdim=True).expand(v.size())), x),
    "repeat without convolutions": (Attended(lambda v: v * v[:, :1].repeat(1, 3, 1, 1), around=False), x),
    "broadcasting between convolutions": (Attended(lambda v: v * v[:, :1]), x),
}
for name, (module, given) in cases.items():
    found = off(module, given)
    print(f"{name}: {found if isinstance(found, str) else f'right, {found:.1e}'}")
    assert isinstance(found, str) == (name in ("repeat between convolutions", "expand between convolutions"))
    assert isinstance(found, str) or found < 1e-4
PY
