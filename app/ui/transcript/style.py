"""The look of the transcript, derived from the palette and font of the widget it is drawn in."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetrics, QFontMetricsF, QPalette

COLUMN_CHARS = 80
BODY_SCALE = 1.1  # text to be read is a little larger than the labels of the interface
CODE_SCALE = 0.94
SMALL_SCALE = 0.9
LINE_EM = 1.48  # from baseline to baseline

SELECTION_SHARE = 0.32  # of the accent in the ground of selected text

GAP_PX = 12  # between blocks
MARGIN_PX = 16  # beside the column
BUBBLE_PADDING_PX = 12
RADIUS_PX = 12

_SAMPLE = "The quick brown fox jumps over the lazy dog, and then it rests a while."


@dataclass(frozen=True, slots=True)
class TextStyle:
    """Fonts, colours and the figures that follow from them (pixels)."""

    font: QFont
    code_font: QFont
    small_font: QFont
    text: QColor
    quiet: QColor
    link: QColor
    accent: QColor
    surface: QColor
    border: QColor
    bar: QColor
    is_dark: bool
    char_px: float
    line_px: float
    line_distance_px: float
    code_line_px: float
    code_font_space_px: float
    column_px: int

    @classmethod
    def of(cls, palette: QPalette, font: QFont) -> TextStyle:
        """The style for a widget with this palette and font."""
        body = scaled(font, BODY_SCALE)
        code = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        code.setStyleHint(QFont.StyleHint.Monospace)
        if body.pointSizeF() > 0:
            code.setPointSizeF(body.pointSizeF() * CODE_SCALE)
        else:
            code.setPixelSize(round(body.pixelSize() * CODE_SCALE))
        metrics = QFontMetricsF(body)
        char_px = metrics.horizontalAdvance(_SAMPLE) / len(_SAMPLE)
        distance = max(1, round(pixel_size(body) * LINE_EM - metrics.height()))
        role = QPalette.ColorRole
        base = palette.color(role.Base)
        text = palette.color(role.Text)
        return cls(
            font=body,
            code_font=code,
            small_font=scaled(font, SMALL_SCALE),
            text=text,
            quiet=_opaque(palette.color(role.PlaceholderText), base),
            link=palette.color(role.Link),
            accent=palette.color(role.Highlight),
            surface=palette.color(role.AlternateBase),
            border=palette.color(role.Mid),
            bar=palette.color(role.Dark),
            is_dark=base.lightness() < 128,
            char_px=char_px,
            line_px=metrics.height() + distance,
            line_distance_px=distance,
            code_line_px=QFontMetricsF(code).height() + 2,
            code_font_space_px=QFontMetricsF(code).horizontalAdvance(" "),
            column_px=round(COLUMN_CHARS * char_px),
        )


def selection_palette(palette: QPalette) -> QPalette:
    """The roles that make selected text calm: its own colour on a ground that is tinted with the accent."""
    role = QPalette.ColorRole
    result = QPalette()
    for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Inactive):
        accent, base = palette.color(group, role.Highlight), palette.color(group, role.Base)
        result.setColor(group, role.Highlight, mixed(accent, base, SELECTION_SHARE))
        result.setColor(group, role.HighlightedText, palette.color(group, role.Text))
    return result


def scaled(font: QFont, factor: float) -> QFont:
    """The same font, `factor` times as large."""
    result = QFont(font)
    if font.pointSizeF() > 0:
        result.setPointSizeF(font.pointSizeF() * factor)
    else:
        result.setPixelSize(max(1, round(font.pixelSize() * factor)))
    return result


def pixel_size(font: QFont) -> float:
    """The size of a font in pixels, however it was given."""
    if font.pixelSize() > 0:
        return float(font.pixelSize())
    return font.pointSizeF() * QFontMetrics(font).fontDpi() / 72


def mixed(front: QColor, back: QColor, share: float) -> QColor:
    """`share` of the front colour (0 to 1) over the back colour."""
    rest = 1 - share
    return QColor(
        round(front.red() * share + back.red() * rest),
        round(front.green() * share + back.green() * rest),
        round(front.blue() * share + back.blue() * rest),
    )


def _opaque(color: QColor, back: QColor) -> QColor:
    """Qt's own placeholder colour is half transparent, too faint for small text: at least 62 % of it."""
    share = max(color.alphaF(), 0.62) if color.alpha() < 255 else 1.0
    return mixed(color, back, share)
