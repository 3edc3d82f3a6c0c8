"""Source code of kits: texts of an untrusted bundle stay data and never become code."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from clearport.reports.kits import KITS, kit_texts

NAME = 'a""" + evil() + """b", "x": "c") evil( */ evil() \\'
FILE = 'evil"); evil("\\.tflite'


@pytest.mark.parametrize(("language", "target"), KITS)
def test_names_of_a_bundle_never_become_code(make_bundle: Any, tmp_path: Path, language: str, target: str) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    model = bundle.manifest.model.model_copy(update={"name": NAME, "license": "<script>evil()</script>"})
    manifest = bundle.manifest.model_copy(update={"model": model})
    artifact = next((a for a in manifest.artifacts if a.target == target), manifest.artifacts[0])
    artifact = artifact.model_copy(update={"target": target})
    texts = kit_texts(manifest, artifact, language, FILE, ("photo",), artifact.parities[0].tolerance)
    for name, text in texts.items():
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
        for harmless in (json.dumps(f"model/{FILE}"), json.dumps(FILE), "\\<script\\>evil()"):
            code = code.replace(harmless, "")
        assert "evil(" not in code, name
    if language == "python":
        called = [node.func for node in ast.walk(ast.parse(texts["restorer.py"])) if isinstance(node, ast.Call)]
        assert "evil" not in {function.id for function in called if isinstance(function, ast.Name)}
    if language == "typescript":
        assert set(json.loads(texts["package.json"])["scripts"]) == {"check", "test"}
