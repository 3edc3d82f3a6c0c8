#!/usr/bin/env bash
# Packages: ncnn 1.0.20261020, torch 2.13.0 (CPU)
# Guess:    GridSample with padding_mode=reflection folds every point back into the picture, as PyTorch does.
# Happens:  ncnn reflects once at each border. Points up to one picture beyond the edge are right to the last digit; farther ones stay
#           outside after the fold, and what is sampled there is off by as much as the picture has contrast. zeros and border are right
#           at any distance, and so is reflection inside.
# Matters:  warps by large flows and lens models sample far outside; the error is at the edges alone and no error is raised.
# Sources:  https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html: locations far from
#           the border are reflected again and again until they are inside (-3.5 becomes 1.5, and then -0.5).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 ncnn==1.0.20261020
cd "$work"
venv/bin/python - <<'PY'
from pathlib import Path

import ncnn
import numpy as np
import torch

MODES = {"zeros": 1, "border": 2, "reflection": 3}

def by_ncnn(mode, corners, image, grid):
    Path("net.param").write_text("7767517\n3 3\nInput a 0 1 image\nInput b 0 1 grid\n"
                                 f"GridSample s 2 1 image grid y 0=1 1={MODES[mode]} 2={corners} 3=0\n")
    Path("net.bin").write_bytes(b"")
    net = ncnn.Net()
    net.load_param("net.param")
    net.load_model("net.bin")
    extractor = net.create_extractor()
    extractor.input("image", ncnn.Mat(image).clone())
    extractor.input("grid", ncnn.Mat(grid).clone())
    return np.array(extractor.extract("y")[1])

generator = np.random.default_rng(0)
image = generator.uniform(0, 4, (3, 8, 9)).astype(np.float32)
for farthest in (1.0, 2.9, 7.0):  # the picture is -1..1; 3 is one picture beyond its edge
    grid = generator.uniform(-farthest, farthest, (20, 20, 2)).astype(np.float32)
    grid[0, 0] = farthest
    for mode in MODES:
        for corners in (0, 1):
            wanted = torch.nn.functional.grid_sample(torch.from_numpy(image)[None], torch.from_numpy(grid)[None],
                                                     padding_mode=mode, align_corners=bool(corners))[0].numpy()
            apart = float(np.abs(by_ncnn(mode, corners, image, grid) - wanted).max())
            print(f"points to {farthest:g}, {mode}, align_corners={corners}: off by at most {apart:.2g} of 4")
            assert apart > 1 if mode == "reflection" and farthest == 7.0 else apart < 1e-4
PY
