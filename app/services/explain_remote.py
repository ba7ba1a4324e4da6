"""Other computers that compute for this one (RPC servers of llama.cpp), in the words of a person."""

from __future__ import annotations

from pathlib import Path

from app.core.errors import UserError
from app.core.events import HOST, ModelInfo
from app.core.remote import server_of
from app.services.explanation import Action, ActionKind, Explanation, choose_model, copy_details
from app.services.wording import translate


def remote_problem(problem: str, detail: str) -> str:
    """Why a server cannot be used, and what helps: a sentence or two."""
    match problem:
        case "unreachable":
            words = translate("ExplainRemote", "It cannot be reached. Is it switched on, and its RPC server running?")
        case "silent":
            words = translate(
                "ExplainRemote",
                "It does not answer. An RPC server serves one program at a time: another may be using it.",
            )
        case "foreign":
            words = translate("ExplainRemote", "It answers, but it is not an RPC server of llama.cpp.")
        case "other_version":
            words = translate(
                "ExplainRemote",
                "Its RPC server is of another version. Use the one of the llama.cpp that Hearth was built with.",
            )
        case "no_device":
            words = translate("ExplainRemote", "Its RPC server offers no device.")
        case "not_built":
            words = translate("ExplainRemote", "This build of the engine cannot use other computers.")
        case "offline":
            words = translate("ExplainRemote", "Hearth is set to stay offline.")
        case "crashed":
            words = translate(
                "ExplainRemote",
                "The connection broke the last time, so Hearth leaves it alone until you press “Try it again” in "
                "Settings, Model, Devices.",
            )
        case _:
            words = translate("ExplainRemote", "It does not start.")
    return f"{words} ({detail})" if detail else words


def address_problem(error: UserError) -> str:
    """What is wrong with an address that was typed: a sentence."""
    match error.string("reason"):
        case "no_port":
            words = translate("ExplainRemote", "“{0}” has no port: write it behind a colon, as in 192.168.0.7:50052.")
        case "port":
            words = translate("ExplainRemote", "The port of “{0}” must be a number from 1 to 65535.")
        case "space":
            words = translate("ExplainRemote", "“{0}” has a space in it: put a comma between two servers.")
        case "ipv6":
            words = translate(
                "ExplainRemote",
                "“{0}” is an IPv6 address, which llama.cpp cannot reach: write the name of the computer or its IPv4 "
                "address.",
            )
        case "scheme":
            words = translate(
                "ExplainRemote",
                "“{0}” is a web address: write only the computer and the port, as in 192.168.0.7:50052.",
            )
        case "too_many":
            words = translate("ExplainRemote", "“{0}” is one too many: llama.cpp can use 16 servers.")
        case _:
            words = translate("ExplainRemote", "“{0}” is not the name or address of a computer.")
    return words.format(error.string("address"))


def server_unused(details: dict[str, object]) -> str:
    """One line for NoticeKind.SERVER_UNUSED."""
    words = translate("ExplainRemote", "The model runs on this computer instead of {0}. {1}")
    return words.format(
        str(details.get("server", "")), remote_problem(str(details.get("problem", "")), str(details.get("detail", "")))
    )


def server_lost(error: UserError) -> Explanation:
    """The card for ErrorKind.SERVER_LOST."""
    server, path = error.string("server"), error.string("path")
    if path:
        words = translate("ExplainRemote", "The connection to {0} broke while “{1}” was being loaded there.")
        text = words.format(server, Path(path).name)
    else:
        words = translate("ExplainRemote", "The connection to {0} broke. What was written so far is kept.")
        text = words.format(server)
    more = translate(
        "ExplainRemote",
        "From now on the model runs on this computer. When the RPC server there runs again, press “Use it again”.",
    )
    again = Action(ActionKind.RETRY_DEVICE, translate("ExplainRemote", "Use it again"), path)
    first = (
        Action(ActionKind.USE_PROCESSOR, translate("ExplainRemote", "Use this computer"), path)
        if path
        else Action(ActionKind.CONTINUE, translate("ExplainRemote", "Continue"))
    )
    title = translate("ExplainRemote", "The other computer was lost")
    return Explanation(title, f"{text} {more}", (first, again, copy_details(error)))


def server_unusable(error: UserError) -> Explanation:
    """The card for ErrorKind.SERVER_UNUSABLE."""
    title = translate("ExplainRemote", "The computer {0} cannot be used").format(error.string("server"))
    text = remote_problem(error.string("problem"), error.string("detail"))
    return Explanation(title, text, (choose_model(), copy_details(error)))


def server_address_invalid(error: UserError) -> Explanation:
    """The card for ErrorKind.SERVER_ADDRESS_INVALID."""
    title = translate("ExplainRemote", "This is not the address of an RPC server")
    setting = Action(ActionKind.OPEN_SETTING, translate("ExplainRemote", "Open the setting"), "engine.rpc_servers")
    return Explanation(title, address_problem(error), (setting,))


def servers_of(model: ModelInfo | None) -> tuple[str, ...]:
    """The other computers that a loaded model runs on: what is written to it goes there."""
    shares = model.plan.get("devices", ()) if model is not None else ()
    names = [str(share.get("name", HOST)) for share in shares if share.get("layers")]
    return tuple(dict.fromkeys(server for server in map(server_of, names) if server))
