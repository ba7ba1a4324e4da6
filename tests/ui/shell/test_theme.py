from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.ui.icons import app_icon, icon_pixmap
from app.ui.labels import Label
from app.ui.theme import DARK, LIGHT, ThemeColors, apply_theme, colors, scaled_font

ENOUGH_FOR_TEXT = 4.5
ENOUGH_FOR_FRAMES = 3.0


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [QColor(color).redF(), QColor(color).greenF(), QColor(color).blueF()]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def pairs(theme: ThemeColors) -> dict[str, tuple[str, str]]:
    grounds = {
        name: getattr(theme, name) for name in ("window", "sidebar", "raised", "hover", "selected", "error_ground")
    }
    found = {
        f"{text} on {g}": (getattr(theme, text), color) for g, color in grounds.items() for text in ("text", "muted")
    }
    for name in ThemeColors.__dataclass_fields__:
        if name.startswith("code_"):
            found[f"{name} on raised"] = (getattr(theme, name), theme.raised)
    for name in ("accent", "link", "error", "warning", "good"):
        found[f"{name} on window"] = (getattr(theme, name), theme.window)
        found[f"{name} on raised"] = (getattr(theme, name), theme.raised)
    found["error on its ground"] = (theme.error, theme.error_ground)
    found["on_accent"] = (theme.on_accent, theme.accent)
    return found


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_can_be_read(theme: ThemeColors) -> None:
    poor = {name: round(contrast(*pair), 2) for name, pair in pairs(theme).items() if contrast(*pair) < ENOUGH_FOR_TEXT}
    assert not poor


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_frames_and_focus_rings_can_be_seen(theme: ThemeColors) -> None:
    for ground in (theme.window, theme.sidebar, theme.raised):
        assert contrast(theme.field_border, ground) >= ENOUGH_FOR_FRAMES
        assert contrast(theme.accent, ground) >= ENOUGH_FOR_FRAMES


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_signs_of_a_verdict_can_be_seen_on_every_ground(theme: ThemeColors) -> None:
    for ground in (theme.window, theme.raised, theme.hover, theme.selected):
        for sign in (theme.good, theme.warning, theme.error):
            assert contrast(sign, ground) >= ENOUGH_FOR_FRAMES


@pytest.mark.parametrize(("theme", "expected"), [("light", LIGHT), ("dark", DARK)])
def test_theme_changes_at_once(qapp: QApplication, qtbot: QtBot, theme: str, expected: ThemeColors) -> None:
    label = Label("x")
    qtbot.addWidget(label)
    label.show()
    apply_theme(qapp, "dark" if theme == "light" else "light", 100)
    apply_theme(qapp, theme, 100)
    assert colors() == expected
    qtbot.waitUntil(lambda: label.palette().color(QPalette.ColorRole.Window).name() == expected.window)
    assert label.grab().toImage().pixelColor(0, 0).name() == expected.window


def test_system_theme_follows_the_system(qapp: QApplication) -> None:
    apply_theme(qapp, "system", 100)
    hints = qapp.styleHints()
    assert colors() == (DARK if hints.colorScheme() == Qt.ColorScheme.Dark else LIGHT)
    # What the platform emits when the person switches the system.
    hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert colors() == (DARK if hints.colorScheme() == Qt.ColorScheme.Dark else LIGHT)


def test_a_chosen_theme_ignores_the_system(qapp: QApplication) -> None:
    apply_theme(qapp, "dark", 100)
    qapp.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Light)
    assert colors() == DARK


@pytest.mark.parametrize("percent", [70, 150, 200])
def test_text_size_scales_everything(qapp: QApplication, qtbot: QtBot, percent: int) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    label, title = Label("x", window), Label("x", window, percent=150, bold=True)
    window.show()
    before, title_before = label.font().pointSizeF(), title.font().pointSizeF()
    apply_theme(qapp, "light", percent)
    qtbot.waitUntil(lambda: label.font().pointSizeF() == pytest.approx(before * percent / 100, rel=0.02))
    assert title.font().pointSizeF() == pytest.approx(title_before * percent / 100, rel=0.02)
    apply_theme(qapp, "light", 100)
    qtbot.waitUntil(lambda: label.font().pointSizeF() == pytest.approx(before))


def test_fonts_given_in_pixels_scale_too() -> None:
    font = QFont()
    font.setPixelSize(20)
    assert scaled_font(font, 150).pixelSize() == 30


def test_icons_take_the_colour_and_stay_sharp(qapp: QApplication) -> None:
    pixmap = icon_pixmap("stop", QColor("#123456"), 24, 2.0)
    assert (pixmap.width(), pixmap.devicePixelRatio()) == (48, 2.0)
    assert pixmap.toImage().pixelColor(24, 24).name() == "#123456"


def test_the_app_has_an_icon(qapp: QApplication) -> None:
    assert not app_icon().isNull()
    assert not qapp.windowIcon().isNull()
