"""`hearth ask`: one question, the answer as it is written."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from app.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, read_all, tell, write, write_json
from app.cli.session import Session, chosen_device, engine_session
from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import Event, Failed, Notice, TextDelta
from app.core.messages import Role
from app.core.remote import remote_device
from app.core.text import clean_text
from app.engine.attempts import AttemptJournal
from app.engine.protocol import ChatMessage, Generate, Load, encode
from app.paths import Paths, builtin_model, choose_paths
from app.services.explain import explain, explain_notice

Show = Callable[[Event], None]


def ask(arguments: argparse.Namespace) -> int:
    """Answer on standard output. Exit code 0; 1 with the reason on standard error; 130 after Ctrl+C."""
    show = _print_json if arguments.json else _print_text
    try:
        question = _question(arguments.question, show)
        paths = choose_paths(arguments.data_dir)
        with engine_session(paths) as session:
            return _answer(session, paths, arguments, question, show)
    except UserError as error:
        words = explain(error)
        tell(f"{words.title}. {words.text}")
        return EXIT_FAILED


def _question(text: str, show: Show) -> str:
    question = clean_text(read_all() if text == "-" else text)
    if not question.strip():
        error = UserError(ErrorKind.EMPTY_PROMPT)
        show(Failed(0, error))
        raise error
    return question


def _answer(session: Session, paths: Paths, arguments: argparse.Namespace, question: str, show: Show) -> int:
    path = str(Path(arguments.model).absolute()) if arguments.model else str(builtin_model())
    load = Load(
        session.next_id(),
        path,
        arguments.context,
        device=_device(paths, path, arguments.rpc),
        adapters=tuple(arguments.adapter),
    )
    session.call(load, show)
    sampling = {"temperature": arguments.temperature, "seed": arguments.seed}
    request = Generate(
        session.next_id(),
        (ChatMessage("question", Role.USER, question),),
        {name: value for name, value in sampling.items() if value is not None},
        arguments.max_tokens,
    )
    session.call(request, show)
    if not arguments.json:
        write("\n")
    return EXIT_INTERRUPTED if session.is_interrupted else 0


def _device(paths: Paths, path: str, server: str | None) -> str:
    """Where the model runs. A server that was lost before is tried again, as it was named once more."""
    if server is None:
        return chosen_device(paths, path)
    device = remote_device(server, 0)
    AttemptJournal(paths.attempts).forgive(device)
    return device


def _print_text(event: Event) -> None:
    match event:
        case TextDelta(text=text):
            write(text)
        case Notice(kind=NoticeKind() as kind, details=details):
            tell(explain_notice(kind, details))


def _print_json(event: Event) -> None:
    write_json(encode(event))
