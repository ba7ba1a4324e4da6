"""Devices and plans in the words of a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.core.errors import UserError
from app.core.events import HOST, Device, ModelInfo
from app.core.remote import REMOTE_KIND, server_of
from app.services.explain_adapters import adapters_row
from app.services.explain_draft import draft_row
from app.services.explain_remote import remote_problem
from app.services.explanation import Action, ActionKind, Explanation, choose_model, copy_details
from app.services.wording import locale, memory_size, number, translate


def device_name(device: Device) -> str:
    """How a person may know it, e.g. "GeForce RTX 4070"."""
    return device.description.strip() or device.name


def device_kind(device: Device) -> str:
    """What kind of device it is."""
    match device.kind:
        case "remote":
            return translate("ExplainDevices", "Another computer")
        case "gpu":
            return translate("ExplainDevices", "Graphics card")
        case "igpu":
            return translate("ExplainDevices", "Built-in graphics")
        case "accel":
            return translate("ExplainDevices", "Accelerator")
        case _:
            return translate("ExplainDevices", "Processor")


def explain_problem(device: Device) -> str:
    """Why a device cannot be used, and what helps; empty when it works."""
    if device.problem and device.kind == REMOTE_KIND:
        return remote_problem(device.problem, device.detail)
    match device.problem:
        case "":
            return ""
        case "crashed":
            return translate("ExplainDevices", "It stopped the engine the last time, so Hearth leaves it alone.")
        case "driver_missing" if device.name == "CUDA":
            words = translate(
                "ExplainDevices",
                "There is no NVIDIA driver. Only NVIDIA’s cards need it: if this computer has one, install its driver.",
            )
        case "driver_missing":
            words = translate(
                "ExplainDevices",
                "{0} is not installed. It comes with the driver of a graphics card; on Linux, install the package "
                "libvulkan1 or vulkan-loader.",
            ).format(device_name(device))
        case "no_card":
            words = translate(
                "ExplainDevices",
                "Its driver finds no card. If there is one, restart the computer, or install the driver anew.",
            )
        case "library_missing":
            words = translate(
                "ExplainDevices", "A library that Hearth brings is missing or broken. Install Hearth anew."
            )
        case "driver_too_old":
            words = translate("ExplainDevices", "Its driver is too old. Install a newer one.")
        case "not_enough_memory":
            words = translate("ExplainDevices", "It has not enough free memory to start. Close programs that use it.")
        case _:
            words = translate("ExplainDevices", "It does not start. Restart the computer, or install a newer driver.")
    return f"{words} ({device.detail})" if device.detail else words


def speed_words(prompt: float, generation: float) -> str:
    """What a self-test found."""
    words = translate("ExplainDevices", "Self-test: reads {0}, writes {1} tokens per second")
    return words.format(_rate(prompt), _rate(generation))


def self_test_crashed(device: Device | None) -> str:
    """A device ended the engine while it was measured. Without the processor nothing would be computed at all."""
    if device is not None and device.kind == "cpu":
        return translate("ExplainDevices", "The processor stopped the engine in its self-test. Its speed is not known.")
    words = translate("ExplainDevices", "{0} stopped the engine in its self-test. Hearth does not use it.")
    return words.format(device_name(device) if device else translate("ExplainDevices", "A device"))


def device_crashed(error: UserError) -> Explanation:
    """The card for ErrorKind.DEVICE_CRASHED."""
    device = error.string("device") or translate("ExplainDevices", "the graphics card")
    path = error.string("path")
    if path:
        words = translate(
            "ExplainDevices",
            "The engine ended while “{0}” was being loaded on {1}. Hearth does not try that again by itself.",
        )
        text = words.format(Path(path).name, device)
    else:
        words = translate(
            "ExplainDevices", "The engine ended while it was starting {0}. Hearth goes on without it from now on."
        )
        text = words.format(device)
    if reason := error.string("reason"):
        text += " " + translate("ExplainDevices", "Reason: {0}.").format(reason.rstrip("."))
    use = Action(ActionKind.USE_PROCESSOR, translate("ExplainDevices", "Use the processor"), path)
    retry = Action(ActionKind.RETRY_DEVICE, translate("ExplainDevices", "Try it again"), path)
    title = translate("ExplainDevices", "The graphics card did not work")
    return Explanation(title, text, (*((use,) if path else ()), retry, choose_model(), copy_details(error)))


def plan_sentence(model: ModelInfo, devices: tuple[Device, ...]) -> str:
    """How the model is loaded, in one sentence or two; empty when the engine did not tell."""
    plan = model.plan
    if not plan:
        return ""
    cards = [share for share in plan.get("devices", ()) if share.get("name") != HOST and share.get("layers")]
    threads = int(plan.get("threads", 1))
    if cards:
        names = locale().createSeparatedList([_name_of(str(share["name"]), devices) for share in cards])
        where = translate("ExplainDevices", "“{0}” runs on {1}").format(model.name, names)
        layers, total = sum(int(share["layers"]) for share in cards), int(plan.get("layers", 0))
        if layers < total:
            part = translate("ExplainDevices", "({0} of {1} layers; the rest on the processor with {2} threads)")
            where += " " + part.format(number(layers), number(total), number(threads))
    elif threads == 1:
        where = translate("ExplainDevices", "“{0}” runs on the processor with one thread").format(model.name)
    else:
        words = translate("ExplainDevices", "“{0}” runs on the processor with {1} threads")
        where = words.format(model.name, number(threads))
    if not cards and plan.get("fast_cores"):
        where += f" ({_fast_cores(plan)})"
    room = _room(plan)
    if model.context_length_limit > model.context_length:
        more = translate("ExplainDevices", "more when a chat needs it, up to {0}")
        room += f" ({more.format(number(model.context_length_limit))})"
    words = f"{where}; {room}. {_memory(plan, devices)}"
    if plan.get("is_reduced"):
        more = translate(
            "ExplainDevices",
            "More should have fit and did not load; Hearth tries that again after a day, or when more memory is free.",
        )
        words += f" {more}"
    if beside := plan.get("beside"):
        more = translate(
            "ExplainDevices",
            "“{0}” was used before and stays in memory as well ({1}), to be back at once, until the room is needed.",
        )
        words += f" {more.format(beside['name'], memory_size(int(beside['used_bytes'])))}"
    return words


def plan_details(model: ModelInfo) -> list[tuple[str, str]]:
    """The same for an expert: names and figures."""
    plan = model.plan
    if not plan:
        return []
    yes, no = translate("ExplainDevices", "on"), translate("ExplainDevices", "off")
    rows = [
        (translate("ExplainDevices", "Context"), f"{number(plan.get('context_length'))} × {plan.get('sequences', 1)}"),
        (translate("ExplainDevices", "Cache type"), str(plan.get("cache_type", ""))),
        (translate("ExplainDevices", "Batch"), number(plan.get("batch_tokens"))),
        (translate("ExplainDevices", "Threads"), _threads(plan)),
        (translate("ExplainDevices", "Flash attention"), yes if plan.get("flash_attention") else no),
    ]
    if guesser := draft_row(model):
        rows.append(guesser)
    if adapters := adapters_row(model):
        rows.append(adapters)
    if plan.get("host_experts"):
        rows.append((translate("ExplainDevices", "Layers with experts in main memory"), number(plan["host_experts"])))
    for share in plan.get("devices", ()):
        words = translate("ExplainDevices", "{0} layers, {1} planned")
        text = words.format(number(share.get("layers", 0)), memory_size(int(share.get("planned_bytes", 0))))
        if "used_bytes" in share:
            text += ", " + translate("ExplainDevices", "{0} used").format(memory_size(int(share["used_bytes"])))
        rows.append((str(share.get("name", "")), text))
    if beside := plan.get("beside"):
        text = translate("ExplainDevices", "{0}, {1}").format(beside["name"], memory_size(int(beside["used_bytes"])))
        rows.append((translate("ExplainDevices", "Model kept beside it"), text))
    return rows


def _threads(plan: dict[str, Any]) -> str:
    threads = number(plan.get("threads"))
    return f"{threads} ({_fast_cores(plan)})" if plan.get("fast_cores") else threads


def _fast_cores(plan: dict[str, Any]) -> str:
    """On which cores threads are kept while they write."""
    words = translate("ExplainDevices", "kept on the performance cores, {0} of {1}")
    return words.format(number(plan["fast_cores"]), number(plan["cores"]))


def _room(plan: dict[str, Any]) -> str:
    tokens, sequences = number(plan.get("context_length")), int(plan.get("sequences", 1))
    if sequences == 1:
        return translate("ExplainDevices", "room for {0} tokens").format(tokens)
    words = translate("ExplainDevices", "room for {0} tokens in each of {1} chats at once")
    return words.format(tokens, number(sequences))


def _memory(plan: dict[str, Any], devices: tuple[Device, ...]) -> str:
    """What it takes of each device that has memory of its own."""
    totals = {device.name: device.total_bytes for device in devices}
    parts = []
    for share in plan.get("devices", ()):
        used = int(share.get("used_bytes", share.get("planned_bytes", 0)))
        if not used:
            continue
        name, total = str(share["name"]), totals.get(str(share["name"]), 0)
        if name == HOST:
            kind = translate("ExplainDevices", "memory")
        elif server := server_of(name):
            kind = translate("ExplainDevices", "memory of {0}").format(server)
        else:
            kind = translate("ExplainDevices", "graphics memory")
        words = translate("ExplainDevices", "{0} of {1} {2}") if total else translate("ExplainDevices", "{0} of {2}")
        parts.append(words.format(memory_size(used), memory_size(total), kind))
    return translate("ExplainDevices", "It takes {0}.").format(locale().createSeparatedList(parts))


def _name_of(name: str, devices: tuple[Device, ...]) -> str:
    return next((device_name(device) for device in devices if device.name == name), server_of(name) or name)


def _rate(value: float) -> str:
    return locale().toString(value, "f", 0 if value >= 10 else 1)
