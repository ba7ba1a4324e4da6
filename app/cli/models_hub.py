"""`hearth models search` and `info`: what there is on the hub."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from app.cli.console import tell, write
from app.cli.hub_session import access_to_hub, hub_client, print_json, settings_of
from app.cli.session import has_flash_attention
from app.core.errors import ErrorKind, UserError
from app.core.estimated_shape import described_shape
from app.core.fit import need_of, usual_context
from app.core.header_findings import find_in_header
from app.core.hub_reference import HubReference, parse_reference
from app.core.hub_values import Gate, HubDetails, HubFile, HubModel, SearchPage, SearchQuery, SearchSort
from app.core.memory import MemoryNeed
from app.engine.host_memory import host_memory
from app.hub.access import HubAccess
from app.hub.client import HubClient
from app.hub.remote_header import read_remote_header
from app.paths import Paths
from app.services.explain_fit import finding_words, need_words
from app.services.fits import trained_context
from app.services.wording import file_size, memory_size, number

MORE_PAGES = 20  # of which hardly any answer may fit; the hub allows 500 requests in 5 minutes
GATES = {Gate.AUTOMATIC: "asks you to accept its terms", Gate.MANUAL: "its author lets people in one by one"}


def search(arguments: argparse.Namespace, paths: Paths) -> int:
    """Print what the hub finds. Raises UserError."""
    query = SearchQuery(
        arguments.text,
        arguments.author,
        arguments.task,
        arguments.max_size,
        SearchSort(arguments.sort),
        min(arguments.limit, 100),
    )
    with hub_client(access_to_hub(paths, settings_of(paths))) as client:
        found, page = _search(client, query, arguments.limit)
    if arguments.json:
        print_json([_model_json(model) for model in found])
        return 0
    for model in found:
        write(_search_line(model) + "\n")
    if not found:
        tell("The hub has no GGUF model like that.")
    _tell_age(page.answered_at)
    return 0


def info(arguments: argparse.Namespace, paths: Paths) -> int:
    """Print what a repository has, or what one file of it is. Raises UserError."""
    reference = parse_reference(arguments.reference)
    access = access_to_hub(paths, settings_of(paths))
    with hub_client(access) as client:
        details = client.details(reference.repo, reference.revision)
    if not (reference.path or reference.quantization):
        if arguments.json:
            print_json(_details_json(details))
        else:
            write("\n".join(_details_lines(details)) + "\n")
    else:
        _show_file(arguments.json, paths, access, details, file_of(details, reference))
    _tell_age(details.answered_at)
    return 0


def file_of(details: HubDetails, reference: HubReference) -> HubFile:
    """The model that a reference names. Raises UserError NOT_ON_HUB."""
    wanted = reference.quantization.upper().replace("-", "_")
    for file in (*details.files, *details.projectors):
        if reference.path and any(part.path == reference.path for part in file.parts):
            return file
        if wanted and file.quantization.upper().replace("-", "_") == wanted:
            return file
    raise UserError(
        ErrorKind.NOT_ON_HUB,
        repo=details.model.repo,
        path=reference.path or reference.quantization,
        revision=reference.revision,
    )


def file_line(file: HubFile) -> str:
    """A file in a list: quantization, size, path."""
    parts = f" ({len(file.parts)} parts)" if len(file.parts) > 1 else ""
    return f"  {file.quantization or '?':<10} {file_size(file.size_bytes):>10}  {file.path}{parts}"


def file_json(file: HubFile) -> dict[str, Any]:
    """The same for programs."""
    parts = [asdict(part) for part in file.parts]
    return {
        "path": file.path,
        "quantization": file.quantization,
        "size_bytes": file.size_bytes,
        "parts": parts,
    }


def _search(client: HubClient, query: SearchQuery, limit: int) -> tuple[list[HubModel], SearchPage]:
    """As many answers as are wanted, and the last page."""
    page = client.search(query)
    found = list(page.models)
    for _ in range(MORE_PAGES):
        if not page.next_cursor or len(found) >= limit:
            break
        page = client.search(replace(query, cursor=page.next_cursor))
        found += page.models
    return found[:limit], page


def _search_line(model: HubModel) -> str:
    facts = [f"{number(model.downloads)} downloads", f"{number(model.likes)} likes"]
    if model.parameters:
        facts.append(_parameters(model.parameters))
    if model.licence:
        facts.append(model.licence)
    if model.gate is not Gate.OPEN:
        facts.append(GATES[model.gate])
    return f"{model.repo}  ({', '.join(facts)})"


def _details_lines(details: HubDetails) -> Iterator[str]:
    model = details.model
    yield model.repo
    facts = {
        "Parameters": _parameters(model.parameters) if model.parameters else "",
        "Architecture": model.architecture,
        "Context": f"{number(details.context_length)} tokens" if details.context_length else "",
        "Licence": model.licence,
        "Made from": ", ".join(details.base_models),
        "Access": GATES.get(model.gate, ""),
        "Commit": details.commit,
    }
    yield from (f"{name}: {value}" for name, value in facts.items() if value)
    yield "Files:" if details.files else "There is no GGUF file in it."
    yield from map(file_line, details.files)
    if details.projectors:
        yield "For images or sound:"
        yield from map(file_line, details.projectors)


def _show_file(as_json: bool, paths: Paths, access: HubAccess, details: HubDetails, file: HubFile) -> None:
    """What the first 64 KiB of a file tell, and what it would need here with what the window goes by."""
    header = read_remote_header(access, details.model.repo, file.path, details.commit).header
    findings = find_in_header(header, has_template=details.has_template)
    trained = trained_context(header)
    context = usual_context(trained)
    is_model = not any(finding.blocks for finding in findings)
    need: MemoryNeed | None = None
    if is_model:
        need = need_of(
            described_shape(header, file.size_bytes),
            context,
            str(settings_of(paths)["model.cache_type"]),
            cpu_flash_attention=has_flash_attention(paths),
        )
    free_bytes = host_memory().free_bytes
    if as_json:
        facts = {
            **file_json(file),
            "repo": details.model.repo,
            "commit": details.commit,
            "architecture": header.line("general.architecture"),
            "context_length": trained or None,
            "needed_bytes": need.total_bytes if need else None,
            "needed_for_context": context if need else None,
            "free_bytes": free_bytes,
            "findings": [finding.kind.value for finding in findings],
        }
        print_json(facts)
        return
    lines = [f"{details.model.repo}/{file.path}"]
    memory = f"{need_words(need)}. {memory_size(free_bytes)} are free." if need else ""
    facts_in_words = {
        "Size": file_size(file.size_bytes),
        "Quantization": file.quantization,
        "Architecture": header.line("general.architecture"),
        "Context": f"up to {number(trained)} tokens" if trained else "",
        f"Memory for {number(context)} tokens": memory,
        "Licence": details.model.licence,
        "Access": GATES.get(details.model.gate, ""),
    }
    lines += [f"{name}: {value}" for name, value in facts_in_words.items() if value]
    lines += [f"SHA-256: {part.sha256}" for part in file.parts if part.sha256]
    lines += [finding_words(finding) for finding in findings]
    write("\n".join(lines) + "\n")


def _model_json(model: HubModel) -> dict[str, Any]:
    return {**asdict(model), "updated_at": model.updated_at.isoformat() if model.updated_at else None}


def _details_json(details: HubDetails) -> dict[str, Any]:
    return {
        **_model_json(details.model),
        "commit": details.commit,
        "context_length": details.context_length,
        "base_models": details.base_models,
        "files": [file_json(file) for file in details.files],
        "projectors": [file_json(file) for file in details.projectors],
        "card": details.card,
    }


def _parameters(count: int) -> str:
    return f"{count / 1e9:.3g} billion" if count >= 1_000_000_000 else f"{count / 1e6:.3g} million"


def _tell_age(answered_at: datetime | None) -> None:
    """Say that the network was not asked, or in vain."""
    if answered_at is not None:
        when = answered_at.astimezone().strftime("%Y-%m-%d %H:%M")
        tell(f"The hub could not be asked; this is its answer of {when}.")
