#!/usr/bin/env bash
# Packages: safetensors 0.8.0
# Guess:    the same tensors and the same metadata give the same bytes: the format has no timestamp, and its tensors are sorted.
# Happens:  the entries of __metadata__ are written in an order that changes from one process to the next. Six entries, six
#           processes, up to six checksums; without metadata, or with one entry, the bytes are equal.
# Matters:  checksums, signatures and content-addressed caches of weights see a new file at every build, while nothing in it changed.
#           Put one entry in (a JSON text of all facts).
# Sources:  https://github.com/huggingface/safetensors (README, Format) says nothing about the order of metadata;
#           https://huggingface.co/docs/safetensors/metadata_parsing neither.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 safetensors==0.8.0
cd "$work"
cat > save.py <<'PY'
import hashlib
import sys

import numpy as np
from safetensors.numpy import save

facts = {f"fact{i}": "value" for i in range(int(sys.argv[1]))}
content = save({"a": np.zeros(3, np.float32), "b": np.zeros(2, np.float16), "c": np.ones((2, 2), np.int8)}, metadata=facts or None)
print(hashlib.sha256(content).hexdigest()[:16])
PY
for entries in 0 1 6; do
    for _ in 1 2 3 4 5 6; do venv/bin/python save.py "$entries"; done | sort -u > "sums$entries"
    echo "$entries entries: $(wc -l < "sums$entries") different files in six processes"
done
[ "$(wc -l < sums0)" -eq 1 ] && [ "$(wc -l < sums1)" -eq 1 ] || { echo "these used to be equal"; exit 1; }
[ "$(wc -l < sums6)" -gt 1 ] || { echo "the order used to change"; exit 1; }
