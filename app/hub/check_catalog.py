"""`python -m app.hub.check_catalog`: compares the catalogue of models with the hub, for its maintainers.

Honours HF_ENDPOINT, HF_TOKEN and the proxy variables. Ends with 0 if all is well, 1 if a row is wrong, 2 if the hub
could not be asked about all of them or the catalogue could not be read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.core.catalog import Catalog
from app.core.errors import UserError
from app.hub.access import choose_access
from app.hub.catalog_check import CatalogCheck, Finding, FindingKind, fill_in
from app.hub.catalog_file import decode_catalog, encode_catalog, keep_catalog, read_catalog_file
from app.paths import shipped_catalog

ALL_WELL, ROWS_WRONG, NOT_CHECKED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the catalogue and print what was found; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m app.hub.check_catalog", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--catalog", type=Path, default=shipped_catalog(), metavar="FILE")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose id contains this")
    parser.add_argument("--fill", action="store_true", help="write sizes, hashes and commits that are missing")
    chosen = parser.parse_args(arguments)
    try:
        data = read_catalog_file(chosen.catalog)
        catalog = decode_catalog(data, str(chosen.catalog))
        rows = tuple(model for model in catalog.models if chosen.only in model.id)
        findings = _check(Catalog(catalog.version, catalog.updated, rows))
    except UserError as error:
        _say(f"not checked: {error}")
        return NOT_CHECKED
    if chosen.fill and any(finding.kind is FindingKind.CAN_BE_CONFIRMED for finding in findings):
        document = json.loads(data)
        filled = fill_in(document, findings)
        encoded = encode_catalog(document)
        decode_catalog(encoded, str(chosen.catalog))
        keep_catalog(encoded, chosen.catalog)
        _say(f"{filled} files are confirmed now")
    if any(finding.kind is FindingKind.NOT_REACHED for finding in findings):
        return NOT_CHECKED
    return ROWS_WRONG if any(finding.is_problem for finding in findings) else ALL_WELL


def _check(catalog: Catalog) -> list[Finding]:
    """Raises UserError as `CatalogCheck.findings` does."""
    findings = []
    for finding in CatalogCheck(choose_access(os.environ)).findings(catalog):
        findings.append(finding)
        mark = "WRONG" if finding.is_problem else "note "
        file = f"{finding.repo}/{finding.path}".rstrip("/")
        _say(f"{mark} {finding.model_id}: {file}: {finding.kind.value}: {finding.words}")
    files = [file for model in catalog.models for file in model.files]
    confirmed = sum(file.is_confirmed for file in files)
    wrong = sum(finding.is_problem for finding in findings)
    _say(f"{len(catalog.models)} rows, {len(files)} files, {confirmed} of them confirmed; {wrong} things are wrong")
    return findings


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
