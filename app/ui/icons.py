"""Icons: small SVG drawings in one colour, painted in any colour and size."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap, QPixmapCache
from PySide6.QtSvg import QSvgRenderer

from app.paths import resources

APP_ICON_SIZES_PX = (16, 24, 32, 48, 64, 128, 256)


@cache
def _drawing(name: str) -> str:
    return (resources() / "icons" / f"{name}.svg").read_text("utf-8")


def icon_pixmap(name: str, color: QColor, size_px: int, ratio: float = 1.0) -> QPixmap:
    """The icon `name` in `color`, `size_px` logical pixels wide on a screen with this device pixel ratio."""
    key = f"hearth-{name}-{color.name()}-{size_px}-{ratio:.3f}"
    pixmap = QPixmap()
    if not QPixmapCache.find(key, pixmap):
        drawing = _drawing(name).replace("currentColor", color.name())
        pixmap = _render(drawing, QSize(round(size_px * ratio), round(size_px * ratio)))
        pixmap.setDevicePixelRatio(ratio)
        QPixmapCache.insert(key, pixmap)
    return pixmap


def draw_icon(painter: QPainter, name: str, color: QColor, rect: QRectF) -> None:
    """Paint the icon `name` into `rect`."""
    device = painter.device()
    ratio = device.devicePixelRatio() if device is not None else 1.0
    painter.drawPixmap(rect.topLeft(), icon_pixmap(name, color, round(rect.width()), ratio))


def app_icon() -> QIcon:
    """The icon of the window."""
    icon = QIcon()
    for size_px in APP_ICON_SIZES_PX:
        icon.addPixmap(_render(_drawing("hearth"), QSize(size_px, size_px)))
    return icon


def _render(drawing: str, size: QSize) -> QPixmap:
    pixmap = QPixmap(size)
    pixmap.fill(Qt.GlobalColor.transparent)
    with QPainter(pixmap) as painter:
        QSvgRenderer(QByteArray(drawing.encode())).render(painter)
    return pixmap
