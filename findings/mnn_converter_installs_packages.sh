#!/usr/bin/env bash
# Packages: MNN 3.6.1, onnx 1.23.2
# Guess:    a converter reads a model and writes a model; what it needs from the package index is in its requirements (MNN's wheel
#           names numpy alone), and a pinned environment stays as it was pinned.
# Happens:  starting mnnconvert (as importing MNN.tools.mnnconvert) runs `pip install -U aliyun-log-python-sdk` in the environment,
#           because that module imports a client for a log service. It brings twenty packages, and protobuf falls to 5.29:
#           afterwards `import onnx` fails in the same environment, and so does the exporter that made the model.
# Matters:  conversion in CI or a container changes the environment behind it and needs the network; a lock file says otherwise. The
#           conversion itself is right. An environment of its own for the converter keeps the rest whole.
# Sources:  MNN/tools/utils/log.py in the wheel (it also asks a service of the vendor for credentials at import; without a network
#           it goes on). Nothing of that is called here but what `mnnconvert --version` does.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 protobuf==7.36.2 MNN==3.6.1
cd "$work"
export PATH="$work/venv/bin:$PATH" # as in an activated environment: the module calls the `pip` that it finds
python -c 'import google.protobuf, onnx; print("before: protobuf", google.protobuf.__version__, "onnx", onnx.__version__)'
python -m pip freeze --disable-pip-version-check | sort >before
mnnconvert --version >converter.log 2>&1
python -m pip freeze --disable-pip-version-check | sort >after
grep -q aliyun-log-python-sdk after || { echo "mnnconvert no longer installs the client" && exit 1; }
echo "mnnconvert --version added or changed $(comm -13 before after | wc -l) packages, among them:"
comm -13 before after | grep -E '^(aliyun-log-python-sdk|protobuf|requests)=='
if python -c 'import onnx' 2>error; then
    echo "onnx still imports" && exit 1
fi
echo "after: import onnx fails: $(tail -1 error | cut -c1-160)"
