"""The one entry: the window, a command, or (with --engine) the engine child."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments say; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--engine"]:  # before anything of Qt is imported
        from app.engine.worker.main import main as run_engine

        return run_engine(arguments[1:])
    from app.cli.arguments import parse

    parsed = parse(arguments)
    if parsed.command == "ask":
        from app.cli.ask import ask
        from app.cli.console import run_command

        return run_command(ask, parsed)
    if parsed.command == "doctor":
        from app.cli.console import run_command
        from app.cli.doctor import doctor

        return run_command(doctor, parsed)
    if parsed.command == "models":
        import app.storage.database  # before Qt, as below
        from app.cli.console import run_command
        from app.cli.models import models

        return run_command(models, parsed)
    # Before Qt: PySide reads the source of every module imported after it, which for SQLAlchemy costs 0.3 s and 17 MB.
    import app.storage.database  # noqa: F401  # only to have it
    from app.bootstrap import run_window

    return run_window(parsed.data_dir, parsed.model or parsed.file)


if __name__ == "__main__":
    sys.exit(main())
