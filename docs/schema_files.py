"""The JSON schemas of the records, written from the code that reads them.

``make schemas`` rewrites them after a change; ``make check`` fails if one in the tree is outdated.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from clearport.bundle import bench_record, diagnosis, manifest, matrix_record, system
from clearport.pipeline.formats import compared
from clearport.pipeline.lint import values
from clearport.pipeline.sources import contract
from clearport.stores import index

ROOT = Path(__file__).parents[1]
SCHEMAS: dict[str, Callable[[], str]] = {
    "core/bundle/bench.schema.json": bench_record.schema,
    "core/bundle/diagnosis.schema.json": diagnosis.schema,
    "core/bundle/manifest.schema.json": manifest.schema,
    "core/bundle/matrix.schema.json": matrix_record.schema,
    "core/bundle/system.schema.json": system.schema,
    "core/pipeline/formats/compare.schema.json": compared.schema,
    "core/pipeline/lint/lint.schema.json": values.schema,
    "core/pipeline/sources/contract.schema.json": contract.schema,
    "core/stores/store.schema.json": index.schema,
}


def stale() -> Iterator[tuple[Path, str]]:
    """The outdated files, each with its up-to-date text."""
    for name, schema in SCHEMAS.items():
        path, text = ROOT / name, schema()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path, text


def main() -> None:
    """Write the schemas that changed, or say which would with ``--check`` (then exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m docs.schema_files", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a schema is outdated")
    check = parser.parse_args().check
    changed = list(stale())
    for path, text in changed:
        if not check:
            path.write_text(text, encoding="utf-8")
        said = "not that of the code; run: make schemas" if check else "written"
        sys.stdout.write(f"{path.relative_to(ROOT)}: {said}\n")
    sys.exit(1 if check and changed else 0)


if __name__ == "__main__":
    main()
