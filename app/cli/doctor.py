"""`hearth doctor`: what is installed, what the engine sees, and whether it works."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from app import __version__
from app.cli.console import write, write_json
from app.cli.session import Session, chosen_device, engine_session, named_servers
from app.core.errors import UserError
from app.core.events import Device, DevicesListed, DeviceTested, Event, Finished, Loaded
from app.core.messages import Role
from app.core.processor_features import processor_features
from app.engine.host_memory import host_memory
from app.engine.protocol import ChatMessage, Devices, Generate, Load, TestDevice
from app.paths import Paths, builtin_model, choose_paths
from app.services.device_choice import DeviceSpeed
from app.services.explain import explain
from app.services.explain_devices import explain_problem, plan_sentence, speed_words
from app.services.wording import file_size, memory_size

PACKAGES = (
    "llama-cpp-python", "PySide6-Essentials", "SQLAlchemy", "alembic", "Jinja2", "psutil", "huggingface-hub", "httpx2",
    "keyring", "platformdirs", "pygments", "ziamath",
)  # fmt: skip
SELF_TEST_QUESTION = "Does Hearth need the internet?"
SELF_TEST_TOKENS = 64


def doctor(arguments: argparse.Namespace) -> int:
    """Print the findings; 0 when everything works, 1 otherwise. Raises KeyboardInterrupt after Ctrl+C."""
    paths = choose_paths(arguments.data_dir)
    findings: dict[str, Any] = {
        "versions": _versions(),
        "folders": _folders(paths),
        "memory": _memory(),
        "database": _database(paths),
        **_engine(paths, arguments.model, arguments.rpc),
    }
    findings["ok"] = findings["database"]["ok"] and findings["engine"]["ok"] and findings["self_test"]["ok"]
    if arguments.json:
        write_json(json.dumps(findings, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    else:
        write("\n".join(_lines(findings)) + "\n")
    return 0 if findings["ok"] else 1


def _versions() -> dict[str, str]:
    found = {"Hearth": __version__, "Python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "part of this build" if getattr(sys, "frozen", False) else "missing"
    return found


def _folders(paths: Paths) -> dict[str, dict[str, Any]]:
    named = {"data": paths.data, "logs": paths.logs, "cache": paths.cache}
    found: dict[str, dict[str, Any]] = {}
    for name, path in named.items():
        existing = next((folder for folder in (path, *path.parents) if _exists(folder)), None)
        free = shutil.disk_usage(existing).free if existing else 0
        found[name] = {"path": str(path), "exists": existing == path, "free_bytes": free}
    return found


def _exists(path: Path) -> bool:
    """False also for a path that may not be looked at or cannot be: the findings are to tell, not to fail."""
    try:
        return path.exists()
    except OSError:
        return False


def _memory() -> dict[str, int]:
    memory = host_memory()
    cores = psutil.cpu_count(False) or 1
    return {"total_bytes": memory.total_bytes, "available_bytes": memory.free_bytes, "cores": cores}


def _database(paths: Paths) -> dict[str, Any]:
    if not _exists(paths.database):
        return {"ok": True, "path": str(paths.database), "state": "not made yet"}
    from app.storage.database import Database

    try:
        problems = Database.check_file(paths.database)
    except UserError as error:
        problems = [explain(error).title]
    return {"ok": not problems, "path": str(paths.database), "state": "; ".join(problems) or "sound"}


def _engine(paths: Paths, model: str | None, servers: Sequence[str]) -> dict[str, dict[str, Any]]:
    engine: dict[str, Any] = {"ok": False}
    self_test: dict[str, Any] = {"ok": False}
    try:
        with engine_session(paths) as session:
            servers = tuple(dict.fromkeys((*named_servers(paths), *servers)))
            listed = session.call(Devices(session.next_id(), servers))
            if isinstance(listed, DevicesListed):
                engine = {
                    "ok": True,
                    "versions": listed.versions,
                    "cpu_features": listed.system_info,
                    "devices": [_device(session, device, model) for device in listed.devices],
                }
            path = str(Path(model).absolute() if model else builtin_model())
            device = chosen_device(paths, path) or _fastest(engine.get("devices", ()))
            self_test = _self_test(session, Load(session.next_id(), path, device=device), listed)
            if session.is_interrupted:
                raise KeyboardInterrupt
    except UserError as error:
        self_test["error"] = _words(error)
    return {"engine": engine, "self_test": self_test}


def _device(session: Session, device: Device, model: str | None) -> dict[str, Any]:
    """What there is to say of a device: its own words, what is wrong with it, or how fast it is."""
    found: dict[str, Any] = {**asdict(device), "problem_in_words": explain_problem(device)}
    if device.problem or session.is_interrupted:
        return found
    path = str(Path(model).absolute()) if model else ""
    try:
        tested = session.call(TestDevice(session.next_id(), device.name, path))
    except UserError as error:  # perhaps the end of the engine, which starts again for the next request
        return {**found, "test_error": _words(error)}
    if isinstance(tested, DeviceTested):
        found["prompt_tokens_per_second"] = tested.prompt_tokens_per_second
        found["generation_tokens_per_second"] = tested.generation_tokens_per_second
    return found


def _words(error: UserError) -> str:
    explanation = explain(error)
    return f"{explanation.title}. {explanation.text}"


def _fastest(devices: Sequence[dict[str, Any]]) -> str:
    """The name of the device that was fastest just now; empty if none was measured."""
    speeds = {
        device["name"]: DeviceSpeed(device["prompt_tokens_per_second"], device["generation_tokens_per_second"])
        for device in devices
        if "prompt_tokens_per_second" in device
    }
    return min(speeds, key=lambda name: speeds[name].turn_s, default="")


def _self_test(session: Session, load: Load, listed: Event) -> dict[str, Any]:
    """Load a model and let it answer at temperature 0."""
    loaded = session.call(load)
    question = ChatMessage("question", Role.USER, SELF_TEST_QUESTION)
    finished = session.call(Generate(session.next_id(), (question,), {"temperature": 0}, SELF_TEST_TOKENS))
    if not (isinstance(loaded, Loaded) and isinstance(finished, Finished)):
        return {"ok": False, "error": "the engine gave no answer"}
    usage = finished.usage
    devices = listed.devices if isinstance(listed, DevicesListed) else ()
    return {
        "ok": usage.completion_tokens > 0,
        "model": loaded.model.name,
        "plan": loaded.model.plan,
        "plan_in_words": plan_sentence(loaded.model, devices),
        "load_ms": round(loaded.load_ms, 1),
        "first_token_ms": round(usage.first_token_ms, 1),
        "tokens_per_second": round(usage.tokens_per_second or 0.0, 1),
    }


def _lines(findings: dict[str, Any]) -> Iterator[str]:
    """The findings for reading, one group after the other."""
    yield "Versions"
    yield from (f"  {name}: {version}" for name, version in findings["versions"].items())
    yield "Folders"
    for name, folder in findings["folders"].items():
        state = "" if folder["exists"] else ", not made yet"
        yield f"  {name}: {folder['path']} ({file_size(folder['free_bytes'])} free{state})"
    memory = findings["memory"]
    free, total = memory_size(memory["available_bytes"]), memory_size(memory["total_bytes"])
    yield f"Memory: {free} available of {total}, {memory['cores']} cores"
    yield f"Database: {findings['database']['state']} ({findings['database']['path']})"
    engine, test = findings["engine"], findings["self_test"]
    if engine["ok"]:
        yield "Engine: " + ", ".join(f"{name} {version}" for name, version in engine["versions"].items())
        yield f"  CPU features: {', '.join(processor_features(engine['cpu_features']))}"
        yield "Devices"
        for device in engine["devices"]:
            yield from _device_lines(device)
    if test["ok"]:
        yield f"Plan: {test['plan_in_words']}"
        speed = f"{test['tokens_per_second']:g} tokens per second, first token after {test['first_token_ms']:g} ms"
        yield f"Self-test: {test['model']} answered: {speed}"
    else:
        yield f"Self-test failed: {test.get('error', '')}"
    yield "Everything works." if findings["ok"] else "Something does not work: see above."


def _device_lines(device: dict[str, Any]) -> Iterator[str]:
    line = f"  {device['name']} ({device['kind']}): {device['description']}"
    if device["driver"]:
        line += f", driver {device['driver']}"
    if device["total_bytes"]:
        line += f", {memory_size(device['free_bytes'])} free of {memory_size(device['total_bytes'])}"
    yield line
    if device["problem"]:
        yield f"    {device['problem_in_words']}"
    elif "prompt_tokens_per_second" in device:
        yield f"    {speed_words(device['prompt_tokens_per_second'], device['generation_tokens_per_second'])}"
    elif "test_error" in device:
        yield f"    self-test failed: {device['test_error']}"
