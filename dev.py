"""Sets Hearth up and runs it or its tests: `python3 dev.py run`, `python3 dev.py test`.

Needs nothing but Python 3.11 or newer. The work is done in packaging/devtools/; this file only has to be
readable by old Pythons too, so that they can be refused with words instead of a syntax error.
"""

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)


def newer_python() -> "str | None":
    """The newest suitable interpreter on the PATH, or None."""
    for minor in range(20, OLDEST[1] - 1, -1):
        candidate = shutil.which("python3.%d" % minor)
        # A version manager's shim may stand there without an interpreter behind it: ask it.
        if candidate and subprocess.call([candidate, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return candidate
    return None


def main() -> None:
    """Hands the command line on, to a newer Python if this one is too old."""
    if sys.version_info < OLDEST:
        candidate = newer_python()
        if candidate is None:
            sys.exit(
                "Hearth needs Python %d.%d or newer; this is %d.%d.\n"
                "Install a newer one, then start this with it: python3.12 dev.py run (on Windows: py -3.12 dev.py run)"
                % (OLDEST + sys.version_info[:2])
            )
        command = [candidate, os.path.abspath(__file__), *sys.argv[1:]]
        if os.name == "posix":
            os.execv(candidate, command)  # not a child: Ctrl+C and signals reach it alone
        sys.exit(subprocess.call(command))
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "packaging"))
    from devtools.commands import run_command

    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
