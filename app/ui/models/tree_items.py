"""The parts of the family tree's picture: models, the lines between them, and the lanes of families."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsItem, QGraphicsPathItem, QStyleOptionGraphicsItem, QWidget

from app.core.catalog import Catalog
from app.ui.models.tree_layout import TreeLane, TreeNode
from app.ui.models.tree_signs import paint_licence_sign, paint_runs_sign
from app.ui.models.tree_words import figures, spoken, tooltip
from app.ui.theme import colors, scaled_font

RADIUS_PX = 6
READABLE_SCALE = 0.45  # below it texts are left out: nobody could read them
LINE_PERCENT = 88
LANE_LEVEL, LINE_LEVEL, NODE_LEVEL = -2, -1, 0


class TreeMetrics:
    """Lengths of the picture in px at a scale of 1, from the font."""

    def __init__(self, font: QFont) -> None:
        self.small = scaled_font(font, LINE_PERCENT)
        self.bold = QFont(font)
        self.bold.setWeight(QFont.Weight.DemiBold)
        line = QFontMetricsF(font).height()
        self.line_px = line
        self.sign_px = round(line * 0.95)
        self.letter = QFont(font)
        self.letter.setPixelSize(max(7, round(self.sign_px * 0.62)))
        self.node_height_px = round(line * 2.7)
        self.node_width_px = round(QFontMetricsF(font).averageCharWidth() * 27 + self.sign_px * 1.5)
        self.row_px = self.node_height_px + round(line * 0.6)
        self.column_px = self.node_width_px + round(line * 3)

    def node_corner(self, node: TreeNode) -> QPointF:
        """The upper left corner of a model."""
        return QPointF(node.column * self.column_px, node.row * self.row_px)

    def lane_box(self, lane: TreeLane) -> QRectF:
        """The ground of a lane, with room around its models."""
        margin = self.line_px * 0.6
        width = (lane.last_column - lane.first_column) * self.column_px + self.node_width_px
        box = QRectF(lane.first_column * self.column_px, lane.top * self.row_px, width, lane.height * self.row_px)
        return box.adjusted(-margin, 0, margin, margin / 2)


class NodeItem(QGraphicsItem):
    """A model. Whether it is current or found is set from outside."""

    def __init__(self, node: TreeNode, catalog: Catalog, metrics: TreeMetrics) -> None:
        super().__init__()
        self.node = node
        self.model = node.model
        self.spoken = spoken(node.model, catalog)
        self._catalog = catalog
        self._metrics = metrics
        self._box = QRectF(0, 0, metrics.node_width_px, metrics.node_height_px)
        self._is_current = False
        self._has_ring = False
        self._is_found = False
        self._texts: tuple[str, str] | None = None
        self.setPos(metrics.node_corner(node))
        self.setZValue(NODE_LEVEL)
        # Panning then moves pictures; no Python is called for it.
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)

    @property
    def is_found(self) -> bool:
        """Whether a search has found it."""
        return self._is_found

    @property
    def words(self) -> str:
        """All that is known in short, for a tooltip."""
        return tooltip(self.model, self._catalog)

    def set_current(self, is_current: bool, has_ring: bool) -> None:
        """Mark it as the one that keys act upon; the ring shows that they do."""
        if (is_current, has_ring) != (self._is_current, self._has_ring):
            self._is_current, self._has_ring = is_current, has_ring
            self.update()

    def set_found(self, is_found: bool, is_searching: bool) -> None:
        """Stand out, or back, while something is searched for."""
        self.setOpacity(0.4 if is_searching and not is_found else 1.0)
        if is_found != self._is_found:
            self._is_found = is_found
            self.update()

    def line_begin(self) -> QPointF:
        """Where lines to children leave."""
        return self.pos() + QPointF(self._box.right(), self._box.center().y())

    def line_end(self) -> QPointF:
        """Where lines from parents arrive."""
        return self.pos() + QPointF(0, self._box.center().y())

    def boundingRect(self) -> QRectF:
        return self._box.adjusted(-2, -2, 2, 2)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        theme = colors()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QColor(theme.field_border if self.model.runs else theme.error)
        if self._is_found:
            frame = QColor(theme.link)
        pen = QPen(frame, 2.5 if self._is_found else 1)
        pen.setCosmetic(True)
        if not self.model.runs:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(QColor(theme.selected if self._is_current else theme.window))
        painter.drawRoundedRect(self._box.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)
        if self._has_ring:
            painter.setPen(QPen(QColor(theme.accent), 3))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(self._box, RADIUS_PX + 1, RADIUS_PX + 1)
        if option.levelOfDetailFromTransform(painter.worldTransform()) >= READABLE_SCALE:
            self._paint_texts(painter)
        else:
            side = self._box.height() * 0.6
            sign = QRectF(0, 0, side, side)
            sign.moveCenter(self._box.center())
            paint_runs_sign(painter, sign, self.model.runs)

    def _paint_texts(self, painter: QPainter) -> None:
        metrics, theme = self._metrics, colors()
        padding = metrics.line_px * 0.45
        inside = self._box.adjusted(padding, padding * 0.6, -padding, -padding * 0.6)
        side = metrics.sign_px
        upper = QRectF(inside.left(), inside.top(), inside.width(), inside.height() / 2)
        lower = upper.translated(0, upper.height())
        words = QRectF(upper.left(), upper.top(), upper.width() - side - padding, upper.height())
        if self._texts is None:
            name = QFontMetricsF(metrics.bold).elidedText(self.model.name, Qt.TextElideMode.ElideRight, words.width())
            line = QFontMetricsF(metrics.small).elidedText(
                figures(self.model), Qt.TextElideMode.ElideRight, words.width()
            )
            self._texts = (name, line)
        name, line = self._texts
        alignment = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QColor(theme.text))
        painter.setFont(metrics.bold)
        painter.drawText(words, alignment, name)
        painter.setPen(QColor(theme.muted))
        painter.setFont(metrics.small)
        painter.drawText(words.translated(0, upper.height()), alignment, line)
        sign = QRectF(inside.right() - side, 0, side, side)
        sign.moveCenter(QPointF(sign.center().x(), upper.center().y()))
        paint_runs_sign(painter, sign, self.model.runs)
        sign.moveCenter(QPointF(sign.center().x(), lower.center().y()))
        paint_licence_sign(painter, sign, self.model.commercial_use, metrics.letter)


class LineItem(QGraphicsPathItem):
    """From a parent to its child."""

    def __init__(self, parent: NodeItem, child: NodeItem) -> None:
        begin, end = parent.line_begin(), child.line_end()
        bend = max(24.0, min(120.0, (end.x() - begin.x()) / 2))
        path = QPainterPath(begin)
        path.cubicTo(begin + QPointF(bend, 0), end - QPointF(bend, 0), end)
        super().__init__(path)
        self.ends = (parent, child)
        self.setZValue(LINE_LEVEL)

    def set_current(self, is_current: bool) -> None:
        """Stand out where it begins or ends at the current model."""
        theme = colors()
        pen = QPen(QColor(theme.accent if is_current else theme.field_border), 2 if is_current else 1)
        pen.setCosmetic(True)  # a line stays one, however small the picture
        self.setPen(pen)
        self.setZValue(LINE_LEVEL + 0.5 if is_current else LINE_LEVEL)


class LaneItem(QGraphicsItem):
    """The ground of a family, with its name."""

    def __init__(self, lane: TreeLane, metrics: TreeMetrics) -> None:
        super().__init__()
        self._family = lane.family
        self._metrics = metrics
        self._box = metrics.lane_box(lane)
        self.setZValue(LANE_LEVEL)

    def boundingRect(self) -> QRectF:
        return self._box

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        theme = colors()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.raised))
        painter.drawRoundedRect(self._box, RADIUS_PX + 2, RADIUS_PX + 2)
        if option.levelOfDetailFromTransform(painter.worldTransform()) < READABLE_SCALE:
            return
        margin = self._metrics.line_px * 0.6
        head = QRectF(self._box.adjusted(margin, margin * 0.4, -margin, 0))
        head.setHeight(self._metrics.line_px)
        font = self._metrics.small
        text = QFontMetricsF(font).elidedText(self._family, Qt.TextElideMode.ElideRight, head.width())
        painter.setPen(QColor(theme.muted))
        painter.setFont(font)
        painter.drawText(head, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
