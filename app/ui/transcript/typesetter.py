"""Turns TeX into SVG with ziamath, a pure Python TeX reader and typesetter."""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from types import FrameType, ModuleType

REFERENCE_PX = 32
"""The font size of every drawing."""
STAND_IN = "#010203"
"""The colour of every drawing, to be replaced by that of the text."""
_LIMIT_CHARS = 4_000
_LIMIT_CALLS = 500_000  # of Python functions: about 0.7 s


class _TooLongError(BaseException):
    """No Exception, so that nothing in the typesetter takes it for one of its own."""


def typeset(tex: str, *, display: bool) -> str | None:
    """One formula as SVG; None when its TeX is beyond the typesetter. For any one thread other than the main thread.

    An ordinary formula takes 5 to 100 ms. But the time doubles with every level of braces or fractions, so that thirty
    characters can take hours: work on a formula ends after a number of function calls, the same on every computer.
    """
    if len(tex) > _LIMIT_CHARS:
        return None
    ziamath = _ziamath()
    calls = 0

    def count(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1
        if calls > _LIMIT_CALLS:
            raise _TooLongError

    sys.settrace(count)  # of this thread alone
    try:
        svg: str = ziamath.Latex(tex, size=REFERENCE_PX, color=STAND_IN, inline=not display).svg()
    except (Exception, _TooLongError):  # it has no exception of its own: whatever it raises, the source is shown
        return None
    finally:
        sys.settrace(None)
    return svg


@functools.cache
def _ziamath() -> ModuleType:
    """The module; loading it takes 0.25 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # theirs, of importlib.resources
        module = importlib.import_module("ziamath")
    importlib.import_module("ziafont").config.svg2 = False  # QSvgRenderer reads SVG 1.1: paths in place of symbols
    return module
