#!/usr/bin/env bash
# Packages: cyclonedx-python-lib 11.12.0
# Guess:    the official Python library, which reads and writes CycloneDX 1.6 and validates against its schema, carries a model
#           card (modelCard, in the standard since 1.5 for machine-learning-model components) through.
# Happens:  the document validates, Bom.from_json reads it without a word, and what is written back, valid again, has no model
#           card: task, data sets, measured quality, considerations are gone. Its model has no such class at all.
# Matters:  a bill of materials for a network is mostly this card; any tool built on the library (merging, signing, converting,
#           enriching) empties it and keeps name and version.
# Sources:  https://cyclonedx.org/docs/1.6/json/#components_items_modelCard; the library's table of gaps (docs/schema-support.rst)
#           names two other fields of components as not supported, and not this one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.12.0'
cd "$work"
venv/bin/python - <<'PY'
import json

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

card = {"modelParameters": {"task": "super-resolution", "architectureFamily": "CNN", "datasets": [{"type": "dataset", "name": "DIV2K"}]},
        "quantitativeAnalysis": {"performanceMetrics": [{"type": "PSNR", "value": "31.7"}]}}
component = {"type": "machine-learning-model", "bom-ref": "net", "name": "net", "version": "1", "modelCard": card}
given = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": component}})
validator = JsonStrictValidator(SchemaVersion.V1_6)
written = JsonV1Dot6(Bom.from_json(json.loads(given))).output_as_string()
kept = json.loads(written)["metadata"]["component"]
print("errors in the given document:", validator.validate_str(given), " in the written one:", validator.validate_str(written))
print("given: ", sorted(component))
print("written:", sorted(kept))
assert validator.validate_str(given) is None and validator.validate_str(written) is None
assert kept["name"] == "net" and "modelCard" not in kept, "the model card used to be dropped"
PY
