"""How Hearth looks: two palettes of our own on the Fusion style, the text size, and the colours of code."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

SMALLEST_TEXT_PERCENT = 70
LARGEST_TEXT_PERCENT = 200
FRAMED_CLASSES = (
    *("QLineEdit", "QPlainTextEdit", "QAbstractSpinBox", "QComboBox", "QCheckBox", "QRadioButton", "QMenu"),
    *("QSlider", "QProgressBar"),  # the part that is not filled must be seen as well
)


@dataclass(frozen=True, slots=True)
class ThemeColors:
    """Every colour of one theme as `#rrggbb`. Texts reach a contrast of 4.5:1 on the grounds they are meant for."""

    dark: bool
    # grounds
    window: str  # the chat and the pages
    sidebar: str
    raised: str  # boxes on the window: composer, cards, code
    hover: str
    selected: str
    error_ground: str
    # lines
    border: str
    field_border: str  # the frame of something to type into or press
    # texts
    text: str
    muted: str
    accent: str
    on_accent: str
    link: str
    error: str
    warning: str
    good: str
    # code on `raised`
    code_keyword: str
    code_string: str
    code_comment: str
    code_number: str
    code_name: str  # functions and classes
    code_builtin: str
    code_operator: str
    code_deleted: str
    code_inserted: str


LIGHT = ThemeColors(
    dark=False,
    window="#fdfcfa",
    sidebar="#f3efe9",
    raised="#f6f3ee",
    hover="#ebe5dc",
    selected="#e6dfd4",
    error_ground="#fbe9e4",
    border="#e0d9cf",
    field_border="#8f8578",
    text="#26221e",
    muted="#665e56",
    accent="#a34417",
    on_accent="#ffffff",
    link="#1d5c9e",
    error="#a4231b",
    warning="#7a4b00",
    good="#2f6b2f",
    code_keyword="#8a2f72",
    code_string="#2f6b2f",
    code_comment="#6b6359",
    code_number="#8f4a00",
    code_name="#1d5c9e",
    code_builtin="#0f6a6a",
    code_operator="#4a443d",
    code_deleted="#a4231b",
    code_inserted="#2f6b2f",
)
DARK = ThemeColors(
    dark=True,
    window="#1d1b19",
    sidebar="#161412",
    raised="#262320",
    hover="#2d2926",
    selected="#35302c",
    error_ground="#3a211c",
    border="#38332e",
    field_border="#7a7168",
    text="#ece7e1",
    muted="#a89f95",
    accent="#f0955a",
    on_accent="#201005",
    link="#8ab8ee",
    error="#ffb4a8",
    warning="#f2c078",
    good="#a5cf8d",
    code_keyword="#e3a3d8",
    code_string="#a5cf8d",
    code_comment="#a39a8f",
    code_number="#f2b98a",
    code_name="#8ab8ee",
    code_builtin="#7fcfc7",
    code_operator="#d0c8be",
    code_deleted="#ffb4a8",
    code_inserted="#a5cf8d",
)


def colors() -> ThemeColors:
    """The colours in use. A widget that keeps any of them asks again at QEvent.PaletteChange."""
    ground = QGuiApplication.palette().color(QPalette.ColorRole.Window)
    return DARK if ground.lightness() < 128 else LIGHT


def apply_theme(app: QApplication, theme: str, text_percent: int) -> None:
    """Show `theme` ("system", "light", "dark") and text of `text_percent` of the system's size from now on."""
    keeper = app.findChild(_ThemeKeeper)
    if keeper is None:
        keeper = _ThemeKeeper(app)
    keeper.apply(theme, text_percent)


def palette_of(theme: ThemeColors) -> QPalette:
    """The Qt palette of a theme."""
    palette = QPalette()
    role = QPalette.ColorRole
    for target, color in (
        (role.Window, theme.window),
        (role.WindowText, theme.text),
        (role.Base, theme.window),
        (role.AlternateBase, theme.raised),
        (role.Text, theme.text),
        (role.PlaceholderText, theme.muted),
        (role.Button, theme.raised),
        (role.ButtonText, theme.text),
        (role.BrightText, theme.error),
        (role.Highlight, theme.accent),
        (role.HighlightedText, theme.on_accent),
        (role.Accent, theme.accent),
        (role.Link, theme.link),
        (role.LinkVisited, theme.link),
        (role.ToolTipBase, theme.raised),
        (role.ToolTipText, theme.text),
        (role.Light, theme.window),
        (role.Midlight, theme.hover),
        (role.Mid, theme.border),
        (role.Dark, theme.field_border),
        (role.Shadow, "#000000"),
    ):
        palette.setColor(target, QColor(color))
    faint = _blend(theme.muted, theme.window, 0.75)
    for target in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText):
        palette.setColor(QPalette.ColorGroup.Disabled, target, faint)
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(theme.selected))
    palette.setColor(QPalette.ColorGroup.Disabled, role.HighlightedText, faint)
    return palette


def _framed_palette(palette: QPalette, theme: ThemeColors) -> QPalette:
    """The palette for what has a frame: Fusion draws it in the window's colour, darkened by 140 %."""
    framed = QPalette(palette)
    frame = QColor(theme.field_border)
    framed.setColor(QPalette.ColorRole.Window, frame.lighter(140))
    return framed


def _blend(front: str, back: str, share: float) -> QColor:
    a, b = QColor(front), QColor(back)
    parts = zip(a.getRgb()[:3], b.getRgb()[:3], strict=True)  # type: ignore[index]  # four ints, says Qt
    return QColor(*(round(x * share + y * (1 - share)) for x, y in parts))


class _ThemeKeeper(QObject):
    """Remembers the person's choice and the system's font, and follows the system's light and dark."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._app = app
        self._system_font = QFont(app.font())
        self._theme = "system"
        app.styleHints().colorSchemeChanged.connect(self._on_color_scheme_changed)

    def apply(self, theme: str, text_percent: int) -> None:
        self._theme = theme
        schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
        # Title bars and file dialogs of the system follow this where the platform can.
        self._app.styleHints().setColorScheme(schemes.get(theme, Qt.ColorScheme.Unknown))
        self._set_palette()
        font = scaled_font(self._system_font, text_percent)
        if font != self._app.font():
            self._app.setFont(font)
            for widget in self._app.allWidgets():  # Qt tells windows only; parts with a font of their own scale it
                if not widget.isWindow():
                    QCoreApplication.sendEvent(widget, QEvent(QEvent.Type.ApplicationFontChange))

    def _on_color_scheme_changed(self, _scheme: Qt.ColorScheme) -> None:
        self._set_palette()

    def _set_palette(self) -> None:
        dark = self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        if self._theme != "system":
            dark = self._theme == "dark"
        theme = DARK if dark else LIGHT
        palette = palette_of(theme)
        if palette != self._app.palette():
            self._app.setPalette(palette)
            framed = _framed_palette(palette, theme)
            for name in FRAMED_CLASSES:
                self._app.setPalette(framed, name)  # type: ignore[arg-type]  # the stub says bytes, Qt takes str


def scaled_font(font: QFont, percent: float) -> QFont:
    """A copy of `font` at `percent` of its size, whether that is given in points or in pixels."""
    scaled = QFont(font)
    if font.pointSizeF() > 0:
        scaled.setPointSizeF(font.pointSizeF() * percent / 100)
    else:
        scaled.setPixelSize(max(1, round(font.pixelSize() * percent / 100)))
    return scaled
