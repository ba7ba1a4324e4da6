"""TeX formulas as vector drawings inside a QTextDocument.

An SVG is made once per formula, at a reference size and in a stand-in colour; size and colour are put in when it is
drawn, so neither a larger text nor another theme typesets again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QObject, QPointF, QRect, QRectF, QSizeF
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QPainter,
    QPyTextObject,
    QTextCharFormat,
    QTextDocument,
    QTextFormat,
)
from PySide6.QtSvg import QSvgRenderer

from app.core.math_spans import Formula
from app.ui.transcript.style import TextStyle, pixel_size
from app.ui.transcript.typesetter import REFERENCE_PX, STAND_IN, typeset

OBJECT_CHAR = "\ufffc"
FORMULA_TYPE = QTextFormat.ObjectTypes.UserObject.value + 1

_RENDERERS_KEPT = 400
_INDEX, _WIDTH, _HEIGHT, _IS_FITTED = (QTextFormat.Property.UserProperty.value + i for i in range(4))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A typeset formula; all measures in units of the font size, `descent` is what lies below the baseline."""

    svg: str
    width: float
    height: float
    descent: float


class FormulaCache:
    """Every formula met so far, by number. Main thread only; the drawings are made beside it, one at a time."""

    def __init__(self) -> None:
        self._formulas: list[Formula] = []
        self._numbers: dict[Formula, int] = {}
        self._drawings: dict[int, Drawing | None] = {}
        self._renderers: dict[tuple[int, int], QSvgRenderer] = {}
        self._drawing: threading.Thread | None = None

    def number_of(self, formula: Formula) -> int:
        """The number under which a formula is known here."""
        if formula not in self._numbers:
            self._numbers[formula] = len(self._formulas)
            self._formulas.append(formula)
        return self._numbers[formula]

    def formula(self, number: int) -> Formula:
        """The formula with a number."""
        return self._formulas[number]

    def is_tried(self, number: int) -> bool:
        """Whether `drawing` is final."""
        return number in self._drawings

    def drawing(self, number: int) -> Drawing | None:
        """The drawing; None when it was not tried yet or cannot be drawn."""
        return self._drawings.get(number)

    def renderer(self, number: int, color: QColor) -> QSvgRenderer | None:
        """The drawing in a colour; the last few hundred are kept."""
        drawing = self._drawings.get(number)
        if drawing is None:
            return None
        key = (number, color.rgba())
        renderer = self._renderers.pop(key, None)
        if renderer is None:
            renderer = QSvgRenderer(QByteArray(drawing.svg.replace(STAND_IN, color.name()).encode()))
            if len(self._renderers) >= _RENDERERS_KEPT:
                del self._renderers[next(iter(self._renderers))]
        self._renderers[key] = renderer  # at the end: the most recently used
        return renderer

    def begin(self, number: int) -> None:
        """Begin to draw a formula, unless another one is still being drawn: then this is to be called again."""
        if self._drawing is None or not self._drawing.is_alive():
            self._drawing = threading.Thread(target=self._draw, args=(number,), name="formula")
            self._drawing.start()

    def _draw(self, number: int) -> None:
        formula = self._formulas[number]
        drawing = None
        try:
            svg = typeset(formula.tex, display=formula.display)
            drawing = _measured(svg) if svg is not None else None
        finally:
            self._drawings[number] = drawing


def _measured(svg: str) -> Drawing | None:
    """A drawing with its size and baseline; None when Qt cannot read it."""
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    box = renderer.viewBoxF()
    if not renderer.isValid() or box.isEmpty():
        return None
    scale = 1 / REFERENCE_PX
    return Drawing(svg, box.width() * scale, box.height() * scale, max(0.0, box.bottom()) * scale)


class FormulaObject(QPyTextObject):
    """Draws formulas where a document has object characters of type FORMULA_TYPE."""

    def __init__(self, cache: FormulaCache, parent: QObject) -> None:
        super().__init__(parent)
        self._cache = cache

    def intrinsicSize(  # noqa: N802  # called by Qt
        self, doc: QTextDocument, position: int, text_format: QTextFormat
    ) -> QSizeF:
        return QSizeF(text_format.doubleProperty(_WIDTH), text_format.doubleProperty(_HEIGHT))

    def drawObject(  # noqa: N802  # called by Qt
        self, painter: QPainter, rect: QRectF | QRect, doc: QTextDocument, position: int, text_format: QTextFormat
    ) -> None:
        number = text_format.intProperty(_INDEX)
        drawing = self._cache.drawing(number)
        renderer = self._cache.renderer(number, text_format.foreground().color())
        if drawing is None or renderer is None or not text_format.boolProperty(_IS_FITTED):
            painter.drawText(rect, self._cache.formula(number).tex)  # not typeset, or its place is not made yet
            return
        size = QSizeF(rect.width(), rect.width() * drawing.height / drawing.width)
        renderer.render(painter, QRectF(QPointF(rect.topLeft()), size))


def formula_format(cache: FormulaCache, number: int, style: TextStyle, base: QTextCharFormat) -> QTextCharFormat:
    """The character format of an object character that stands for a formula, with its size and baseline.

    Qt puts an inline object on the baseline by the descent of the character's font. So the font is chosen for its
    descent, and the object is made as tall as the rounding of that descent needs.
    """
    formula = cache.formula(number)
    result = QTextCharFormat(base)
    result.setObjectType(FORMULA_TYPE)
    result.setProperty(_INDEX, number)
    result.setToolTip(formula.tex)
    result.setForeground(base.foreground() if base.hasProperty(QTextFormat.Property.ForegroundBrush) else style.text)
    drawing = cache.drawing(number)
    em = pixel_size(style.font)
    if drawing is None:  # a place is kept until it is drawn
        result.setProperty(_WIDTH, style.char_px * max(1.0, len(formula.tex) * 0.5))
        result.setProperty(_HEIGHT, em)
        return result
    descent = drawing.descent * em
    font, font_descent = _font_with_descent(style.font, descent)
    result.setFont(font)
    result.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignBaseline)
    result.setProperty(_IS_FITTED, True)
    result.setProperty(_WIDTH, drawing.width * em)
    result.setProperty(_HEIGHT, drawing.height * em - descent + font_descent)
    return result


def _font_with_descent(font: QFont, descent: float) -> tuple[QFont, int]:
    """A font of the same family whose descent is at least `descent` pixels, and its descent."""
    result = QFont(font)
    per_pixel = max(QFontMetrics(font).descent() / pixel_size(font), 0.1)
    size = max(1, int(descent / per_pixel))
    while True:
        result.setPixelSize(size)
        found = QFontMetrics(result).descent()
        if found >= descent or size > 2_000:
            return result, found
        size += 1
