"""What can be typed on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress

from app import __version__
from app.cli.adapter_argument import ADAPTER_HELP, adapter
from app.cli.model_arguments import add_model_commands
from app.core.errors import UserError
from app.core.remote import read_servers
from app.core.sampling import RANGE_OF
from app.core.settings import SETTING_OF

COMMANDS = ("ask", "doctor", "models")
RPC_HELP = "run the model on this RPC server of llama.cpp; it and the question travel there unencrypted"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments after the program's name; `command` is "window" or one of COMMANDS. Exits 2 on a mistake."""
    place = _first_word(argv)
    command = argv[place] if place is not None and argv[place] in COMMANDS else None
    makers = {"ask": _ask_parser, "doctor": _doctor_parser, "models": _models_parser}
    parser = makers.get(command or "", _window_parser)()
    rest = [word for at, word in enumerate(argv) if command is None or at != place]
    arguments = parser.parse_args(rest)
    arguments.command = command or "window"
    return arguments


def _first_word(argv: Sequence[str]) -> int | None:
    """Where the first word stands that is neither an option nor the value of --data-dir or --model."""
    takes_value = False
    for place, word in enumerate(argv):
        if takes_value:
            takes_value = False
        elif word in ("--data-dir", "--model"):
            takes_value = True
        elif not word.startswith("-"):
            return place
    return None


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"hearth {command}".strip(), description=description)
    parser.add_argument("--data-dir", metavar="DIR", help="keep everything (chats, settings, logs) under DIR")
    return parser


def _window_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "", "Chat with language models on this computer. Commands: ask, models, doctor (each with --help)."
    )
    parser.add_argument("--model", metavar="PATH", help="a GGUF file to chat with")
    parser.add_argument("--version", action="version", version=f"Hearth {__version__}")
    parser.add_argument("file", nargs="?", help="a GGUF file to open")
    return parser


def _ask_parser() -> argparse.ArgumentParser:
    parser = _parser("ask", "Ask one question and print the answer as it is written.")
    parser.add_argument("question", help='the question; "-" reads it from standard input')
    add = parser.add_argument
    add("--model", metavar="PATH", help="a GGUF file; the built-in model if left out")
    add("--adapter", type=adapter, action="append", default=[], metavar="FILE[=STRENGTH]", help=ADAPTER_HELP)
    add("--max-tokens", type=_number("answers.max_tokens"), default=0, metavar="N", help="longest answer in tokens")
    add("--temperature", type=_temperature, metavar="T", help="0 is always the likeliest word")
    add("--seed", type=_number("sampling.seed"), metavar="S", help="the same seed gives the same answer")
    add("--context", type=_number("model.context_length"), default=0, metavar="N", help="context length in tokens")
    add("--rpc", type=_server, metavar="HOST:PORT", help=RPC_HELP)
    add("--json", action="store_true", help="one JSON object per line for everything that happens")
    return parser


def _doctor_parser() -> argparse.ArgumentParser:
    parser = _parser("doctor", "Check the installation: versions, folders, devices, the engine, the database.")
    parser.add_argument("--model", metavar="PATH", help="a GGUF file to try; the built-in model if left out")
    help_text = "look at this RPC server as well; may be given several times"
    parser.add_argument("--rpc", type=_server, action="append", default=[], metavar="HOST:PORT", help=help_text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _models_parser() -> argparse.ArgumentParser:
    parser = _parser("models", "Find, download and list models.")
    add_model_commands(parser)
    return parser


def _number(setting: str) -> Callable[[str], int]:
    """Reads a whole number with the range of a setting."""
    lowest, highest = SETTING_OF[setting].minimum, SETTING_OF[setting].maximum

    def number(text: str) -> int:
        with suppress(ValueError):
            if lowest <= (value := int(text)) <= highest:
                return value
        raise argparse.ArgumentTypeError(f"must be a whole number between {lowest:.0f} and {highest:.0f}")

    return number


def _server(text: str) -> str:
    """The address of one RPC server."""
    from app.services.explain_remote import address_problem

    try:
        servers = read_servers(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(address_problem(error)) from None
    if len(servers) != 1:
        raise argparse.ArgumentTypeError("must be one server, as in 192.168.0.7:50052")
    return servers[0]


def _temperature(text: str) -> float:
    legal = RANGE_OF["temperature"]
    with suppress(ValueError):
        if legal.minimum <= (number := float(text)) <= legal.maximum:
            return number
    raise argparse.ArgumentTypeError(f"must be between {legal.minimum:g} and {legal.maximum:g}")
