"""Makes the documents that text views show: from Markdown, from a formula, from code, from plain text.

Nothing is ever loaded: pictures become links with their alternative text, and documents refuse every resource.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, Qt, QUrl
from PySide6.QtGui import (
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextLength,
    QTextOption,
    QTextTable,
    QTextTableFormat,
)

from app.core.math_spans import MARKER_BASE, Formula, MarkedText, mark_formulas
from app.ui.transcript.formulas import OBJECT_CHAR, FormulaCache, formula_format
from app.ui.transcript.style import CODE_SCALE, TextStyle, scaled

_FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_NAMELESS_PICTURE = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))|!\[\]\((?P<address>[^)\s]+)", re.DOTALL
)
_HEADING_SCALES = {1: 1.4, 2: 1.22, 3: 1.1}
_LIST_INDENT_EM = 1.7
QUOTE_INDENT_PX = 16
ITEM_GAP = 0.18
"""Between the items of a list, as a fraction of a line."""
_DISTANCE = QTextBlockFormat.LineHeightTypes.LineDistanceHeight.value


class SafeDocument(QTextDocument):
    """A document that asks neither the disk nor the network for anything."""

    def loadResource(self, kind: int, name: QUrl | str) -> None:
        return None


@dataclass(slots=True)
class Built:
    """A finished document with what the view must know of it."""

    document: QTextDocument
    formulas: list[tuple[int, int]] = field(default_factory=list)  # position of the character, number of the formula
    quotes: list[tuple[int, int, int]] = field(default_factory=list)  # first and last block number, depth
    has_links: bool = False


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of a document that is replaced: by a formula, by its source, or by a picture's words."""

    position: int
    length: int
    char_format: QTextCharFormat
    formula: Formula | None = None
    words: str = ""


def markdown_document(markdown: str, style: TextStyle, cache: FormulaCache, parent: QObject) -> Built:
    """Prose as Markdown in GitHub's dialect, HTML shown as it was written."""
    marked = mark_formulas(markdown)
    document = _new_document(style, parent)
    document.setMarkdown(_NAMELESS_PICTURE.sub(_with_a_name, marked.text), _FEATURES)
    built = Built(document)
    cursor = QTextCursor(document)
    cursor.beginEditBlock()
    spans: list[_Span] = []
    tables = [frame for frame in document.rootFrame().childFrames() if isinstance(frame, QTextTable)]
    cells = [range(table.firstPosition(), table.lastPosition() + 1) for table in tables]
    block = document.begin()
    while block.isValid():
        in_cell = any(block.position() in positions for positions in cells)
        _style_block(block, cursor, style, built, in_cell=in_cell)
        _style_characters(block, cursor, style, marked, spans, built)
        block = block.next()
    for table in tables:
        _style_table(table, style)
    _replace(spans, cursor, style, cache, built)
    cursor.endEditBlock()
    return built


def _with_a_name(match: re.Match[str]) -> str:
    """Qt drops pictures without words: these get their address. Code is left alone."""
    return match[0] if match["code"] is not None else f"![{match['address']}]({match['address']}"


def formula_document(formula: Formula, style: TextStyle, cache: FormulaCache, parent: QObject) -> Built:
    """A display formula in the middle of its line."""
    document = _new_document(style, parent)
    cursor = QTextCursor(document)
    block_format = QTextBlockFormat()
    block_format.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    cursor.setBlockFormat(block_format)
    number = cache.number_of(formula)
    cursor.insertText(OBJECT_CHAR, formula_format(cache, number, style, QTextCharFormat()))
    return Built(document, [(0, number)])


def plain_document(text: str, style: TextStyle, parent: QObject) -> Built:
    """Text exactly as it was typed."""
    document = _new_document(style, parent)
    document.setPlainText(text)
    _set_line_distance(document, style.line_distance_px)
    return Built(document)


def code_document(text: str, style: TextStyle, parent: QObject) -> Built:
    """Code in a fixed-width font, left to right whatever it contains."""
    document = _new_document(style, parent)
    document.setDefaultFont(style.code_font)
    option = document.defaultTextOption()
    option.setTextDirection(Qt.LayoutDirection.LeftToRight)
    option.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignAbsolute)
    option.setTabStopDistance(4 * style.code_font_space_px)
    document.setDefaultTextOption(option)
    document.setPlainText(text)
    _set_line_distance(document, 2)
    return Built(document)


def _new_document(style: TextStyle, parent: QObject) -> SafeDocument:
    document = SafeDocument(parent)
    document.setUndoRedoEnabled(False)
    document.setDocumentMargin(0)
    document.setDefaultFont(style.font)
    document.setIndentWidth(_LIST_INDENT_EM * style.line_px / 1.45)
    option = QTextOption()
    option.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    document.setDefaultTextOption(option)
    return document


def _set_line_distance(document: QTextDocument, distance: float) -> None:
    cursor = QTextCursor(document)
    cursor.select(QTextCursor.SelectionType.Document)
    block_format = QTextBlockFormat()
    block_format.setLineHeight(distance, _DISTANCE)
    cursor.mergeBlockFormat(block_format)


def _style_block(block: QTextBlock, cursor: QTextCursor, style: TextStyle, built: Built, *, in_cell: bool) -> None:
    block_format = block.blockFormat()
    if in_cell:
        block_format.setBottomMargin(0)
        block_format.setLineHeight(style.line_distance_px, _DISTANCE)
        cursor.setPosition(block.position())
        cursor.setBlockFormat(block_format)
        return
    following = block.next()
    is_first, is_last = block.blockNumber() == 0, not following.isValid()
    gap = style.line_px * 0.5
    depth = block_format.intProperty(QTextFormat.Property.BlockQuoteLevel)
    if block_format.headingLevel():
        block_format.setTopMargin(0 if is_first else gap * 1.5)
        block_format.setBottomMargin(0 if is_last else gap * 0.7)
    elif block.textList() is not None:
        in_list = following.isValid() and following.textList() is not None
        block_format.setTopMargin(0)
        block_format.setBottomMargin(0 if is_last else style.line_px * ITEM_GAP if in_list else gap)
    else:
        block_format.setTopMargin(0)
        block_format.setBottomMargin(0 if is_last else gap)
    if depth:
        _style_quote(block, block_format, depth, built)
    if block_format.nonBreakableLines() or block_format.hasProperty(QTextFormat.Property.BlockCodeFence):
        block_format.setBackground(style.surface)
        block_format.setBottomMargin(0 if is_last or following.blockFormat().nonBreakableLines() else gap)
    if block_format.hasProperty(QTextFormat.Property.BlockTrailingHorizontalRulerWidth):
        block_format.setBackground(style.border)
    block_format.setLineHeight(style.line_distance_px, _DISTANCE)
    cursor.setPosition(block.position())
    cursor.setBlockFormat(block_format)


def _style_quote(block: QTextBlock, block_format: QTextBlockFormat, depth: int, built: Built) -> None:
    if block.textDirection() == Qt.LayoutDirection.RightToLeft:
        block_format.setLeftMargin(0)
        block_format.setRightMargin(QUOTE_INDENT_PX * depth)
    else:
        block_format.setLeftMargin(QUOTE_INDENT_PX * depth)
        block_format.setRightMargin(0)
    number = block.blockNumber()
    if built.quotes and built.quotes[-1][1] == number - 1 and built.quotes[-1][2] == depth:
        built.quotes[-1] = (built.quotes[-1][0], number, depth)
    else:
        built.quotes.append((number, number, depth))


def _style_characters(
    block: QTextBlock, cursor: QTextCursor, style: TextStyle, marked: MarkedText, spans: list[_Span], built: Built
) -> None:
    """Dress code, links and quotes, and note what is to be replaced."""
    quoted = bool(block.blockFormat().intProperty(QTextFormat.Property.BlockQuoteLevel))
    stretches: list[tuple[int, int, QTextCharFormat, str]] = []
    iterator = block.begin()
    while not iterator.atEnd():
        fragment = iterator.fragment()
        stretches.append((fragment.position(), fragment.length(), fragment.charFormat(), fragment.text()))
        iterator += 1
    level = block.blockFormat().headingLevel()
    for position, length, char_format, text in stretches:
        if level:
            _style_heading(cursor, position, length, char_format, style, level)
        is_code = char_format.fontFixedPitch()
        is_link = bool(char_format.anchorHref())
        if char_format.isImageFormat():
            image = char_format.toImageFormat()
            words = str(image.property(QTextFormat.Property.ImageAltText) or "") or image.name()
            link = QTextCharFormat()
            link.setAnchor(True)
            link.setAnchorHref(char_format.anchorHref() or image.name())
            link.setForeground(style.link)
            link.setFontUnderline(True)
            spans.extend(_Span(position + i, 1, link, words=words) for i in range(length))
            built.has_links = True
            continue
        if marked.formulas and any(ord(char) >= MARKER_BASE for char in text):
            at = position
            for char in text:
                index = ord(char) - MARKER_BASE
                if 0 <= index < len(marked.formulas):
                    formula = marked.formulas[index]
                    words = formula.source if is_code else ""
                    spans.append(_Span(at, 2, char_format, formula, words))
                at += 2 if ord(char) > 0xFFFF else 1
        if not (is_code or is_link or quoted):
            continue
        dress = QTextCharFormat()
        if is_code:
            dress.setFontFamilies([style.code_font.family()])
            if not level:
                _set_size(dress, scaled(style.font, CODE_SCALE))
            dress.setBackground(style.surface)
        elif quoted:
            dress.setForeground(style.quiet)
        if is_link:
            dress.setForeground(style.link)
            dress.setFontUnderline(True)
            built.has_links = True
        cursor.setPosition(position)
        cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
        cursor.mergeCharFormat(dress)


def _style_heading(
    cursor: QTextCursor, position: int, length: int, char_format: QTextCharFormat, style: TextStyle, level: int
) -> None:
    """Sizes of our own: those of the Markdown reader are steps that would be applied on top."""
    char_format.clearProperty(QTextFormat.Property.FontSizeAdjustment)
    _set_size(char_format, scaled(style.font, _HEADING_SCALES.get(level, 1.0)))
    char_format.setFontWeight(QFont.Weight.DemiBold.value)
    cursor.setPosition(position)
    cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
    cursor.setCharFormat(char_format)


def _replace(spans: list[_Span], cursor: QTextCursor, style: TextStyle, cache: FormulaCache, built: Built) -> None:
    """Put formulas and words in their places; from the end, so that positions in front stay true."""
    positions: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda span: span.position, reverse=True):
        cursor.setPosition(span.position)
        cursor.setPosition(span.position + span.length, QTextCursor.MoveMode.KeepAnchor)
        base = cursor.charFormat() if span.formula else span.char_format
        if span.formula is None or span.words:
            cursor.insertText(span.words, base)
            shift = len(span.words.encode("utf-16-le", "surrogatepass")) // 2 - span.length
        else:
            number = cache.number_of(span.formula)
            if cache.is_tried(number) and cache.drawing(number) is None:
                source = span.formula.source
                cursor.insertText(source, base)
                shift = len(source.encode("utf-16-le", "surrogatepass")) // 2 - span.length
            else:
                cursor.insertText(OBJECT_CHAR, formula_format(cache, number, style, base))
                shift = 1 - span.length
                positions = [(at + shift, known) for at, known in positions]
                positions.append((span.position, number))
                continue
        positions = [(at + shift, known) for at, known in positions]
    built.formulas = positions[::-1]


def _style_table(table: QTextTable, style: TextStyle) -> None:
    table_format: QTextTableFormat = table.format()
    table_format.setBorder(1)
    table_format.setBorderBrush(style.border)
    table_format.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    table_format.setBorderCollapse(True)
    table_format.setCellPadding(6)
    table_format.setCellSpacing(0)
    table_format.setMargin(0)
    table_format.setWidth(QTextLength())
    table.setFormat(table_format)
    for column in range(table.columns()):
        cell = table.cellAt(0, column)
        cell_format = cell.format()
        cell_format.setBackground(style.surface)
        cell.setFormat(cell_format)


def _set_size(char_format: QTextCharFormat, font: QFont) -> None:
    if font.pointSizeF() > 0:
        char_format.setFontPointSize(font.pointSizeF())
    else:
        char_format.setProperty(QTextFormat.Property.FontPixelSize, font.pixelSize())
