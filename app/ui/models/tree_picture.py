"""The family tree as a picture that can be moved, zoomed, and walked with the arrow keys."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QGraphicsScene, QGraphicsView, QToolTip, QWidget

from app.core.catalog import Catalog
from app.ui.models.tree_items import LaneItem, LineItem, NodeItem, TreeMetrics
from app.ui.models.tree_layout import TreeLayout, TreeYear
from app.ui.models.tree_words import matches
from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.theme import colors
from app.ui.transcript.announce import announce

SMALLEST_SCALE, LARGEST_SCALE = 0.12, 2.5
ZOOM_STEP = 1.25
WHEEL_NOTCH = 120  # eighths of a degree, as Qt counts them
MARGIN_PX = 40  # around the picture, and around the current model where it is scrolled into view


class TreePicture(QGraphicsView):
    """One model is current: arrows go to parents, children and neighbours, Home to the first, Enter opens it."""

    opened = Signal(str)  # id
    view_moved = Signal()  # scrolled or zoomed

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = self.tr("Family tree")
        self.setAccessibleName(self._name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setInteractive(False)
        # Qt's own anchor under the mouse follows only the mice of scenes that take clicks.
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState)
        use_slim_scroll_bars(self)
        self.setCornerWidget(QWidget(self))
        self.setScene(QGraphicsScene(self))
        self._metrics = TreeMetrics(self.font())
        self._catalog: Catalog | None = None
        self._layout: TreeLayout | None = None
        self._nodes: dict[str, NodeItem] = {}
        self._lines: list[LineItem] = []
        self._current: NodeItem | None = None
        self._search = ""
        self._pressed_at: QPoint | None = None
        for bar in (self.horizontalScrollBar(), self.verticalScrollBar()):
            bar.valueChanged.connect(self.view_moved)
            bar.rangeChanged.connect(self.view_moved)

    @property
    def current_id(self) -> str:
        """The model that keys act upon; empty: there is none."""
        return self._current.model.id if self._current is not None else ""

    @property
    def found_ids(self) -> list[str]:
        """The models that match the search, from left to right."""
        found = [item for item in self._nodes.values() if item.is_found]
        return [item.model.id for item in sorted(found, key=lambda item: (item.x(), item.y()))]

    @property
    def scale_factor(self) -> float:
        """How large the picture is; 1: texts in the size of the window's."""
        return self.transform().m11()

    def set_tree(self, catalog: Catalog, layout: TreeLayout) -> None:
        """Show a catalogue that was laid out; the current model stays so if it is in it."""
        self._catalog, self._layout = catalog, layout
        self._build()

    def choose(self, model_id: str) -> bool:
        """Make a model current, in the middle of the view unless it is seen; False when there is none with this id."""
        item = self._nodes.get(model_id)
        if item is None:
            return False
        self._set_current(item)
        self._show_amid(item)
        return True

    def set_search(self, text: str) -> None:
        """Let models whose names have all these words stand out, and bring the first of them into view."""
        self._search = text
        self._mark_found()
        if found := self.found_ids:
            self._show_amid(self._nodes[found[0]])

    def choose_found(self) -> None:
        """Make the first model that the search has found current, unless the current one is among them."""
        found = self.found_ids
        if found and self.current_id not in found:
            self.choose(found[0])

    def zoom_by(self, factor: float, at: QPoint | None = None) -> None:
        """Make the picture larger or smaller, within bounds; `at` stays where it is, or else the middle of the view."""
        place = self.viewport().rect().center() if at is None else at
        before = self.mapToScene(place)
        wished = min(LARGEST_SCALE, max(SMALLEST_SCALE, self.scale_factor * factor))
        self.scale(wished / self.scale_factor, wished / self.scale_factor)
        moved = self.mapFromScene(before) - place
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() + moved.x())
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() + moved.y())
        self.view_moved.emit()

    def reset_zoom(self) -> None:
        """Show texts in the size of the window's."""
        self.zoom_by(1 / self.scale_factor)
        if self._current is not None:
            self._show_amid(self._current)

    def show_all(self) -> None:
        """Make all of it fit."""
        self.fitInView(self.sceneRect(), Qt.AspectRatioMode.KeepAspectRatio)
        if self.scale_factor < SMALLEST_SCALE:
            self.zoom_by(SMALLEST_SCALE / self.scale_factor)
        self.view_moved.emit()

    def year_span(self, year: TreeYear) -> tuple[float, float]:
        """Where the columns of a year begin and end, in px of the viewport."""
        begin = year.first_column * self._metrics.column_px
        end = year.last_column * self._metrics.column_px + self._metrics.node_width_px
        return self.mapFromScene(QPointF(begin, 0)).x(), self.mapFromScene(QPointF(end, 0)).x()

    def _build(self) -> None:
        catalog, layout = self._catalog, self._layout
        if catalog is None or layout is None:
            return
        kept = self.current_id
        scene, metrics = self.scene(), TreeMetrics(self.font())
        self._current, self._metrics = None, metrics
        scene.clear()
        self._nodes = {node.model.id: NodeItem(node, catalog, metrics) for node in layout.nodes}
        self._lines = [LineItem(self._nodes[parent], self._nodes[child]) for parent, child in layout.edges]
        for item in (*(LaneItem(lane, metrics) for lane in layout.lanes), *self._lines, *self._nodes.values()):
            scene.addItem(item)
        scene.setSceneRect(scene.itemsBoundingRect().adjusted(-MARGIN_PX, -MARGIN_PX, MARGIN_PX, MARGIN_PX))
        self._mark_found()
        self._recolour()
        if not self.choose(kept):
            self._go_home()

    def _mark_found(self) -> None:
        is_searching = bool(self._search.strip())
        for item in self._nodes.values():
            item.set_found(matches(item.model, self._search), is_searching)

    def _recolour(self) -> None:
        self.scene().setBackgroundBrush(QColor(colors().window))
        for line in self._lines:
            line.set_current(self._current in line.ends)
        for item in self._nodes.values():
            item.update()

    def _set_current(self, item: NodeItem) -> None:
        if item is self._current:
            return
        previous, self._current = self._current, item
        if previous is not None:
            previous.set_current(False, False)
        item.set_current(True, self.hasFocus())
        for line in self._lines:
            if previous in line.ends or item in line.ends:
                line.set_current(item in line.ends)
        self.setAccessibleDescription(item.spoken)
        announce(self, item.spoken)

    def _show_amid(self, item: NodeItem) -> None:
        if not self.viewport().rect().contains(self.mapFromScene(item.sceneBoundingRect()).boundingRect()):
            self.centerOn(item)

    def _walk_to(self, item: NodeItem) -> None:
        self._set_current(item)
        self.ensureVisible(item, MARGIN_PX, MARGIN_PX)

    def _go_home(self) -> None:
        if self._nodes:
            self._walk_to(min(self._nodes.values(), key=lambda item: (item.x(), item.y())))

    def _walk(self, key: Qt.Key) -> None:
        """Left to a parent, right to a child, up and down in the column; what is nearest where there is no such."""
        current = self._current
        if current is None or self._catalog is None:
            self._go_home()
            return
        column, others = current.node.column, [item for item in self._nodes.values() if item is not current]
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            sign = 1 if key == Qt.Key.Key_Down else -1
            found = [item for item in others if item.node.column == column and sign * (item.y() - current.y()) > 0]
        else:
            forward = key == Qt.Key.Key_Right
            children = [child.id for child in self._catalog.children(current.model.id)]
            related = children if forward else current.model.parents
            found = [self._nodes[model_id] for model_id in related if model_id in self._nodes]
            if not found:
                beside = [item.node.column for item in others if (item.node.column > column) is forward]
                beside = [other for other in beside if other != column]
                nearest = (min if forward else max)(beside, default=column)
                found = [item for item in others if item.node.column == nearest != column]
        if found:
            self._walk_to(min(found, key=lambda item: abs(item.y() - current.y())))

    def _item_at(self, point: QPoint) -> NodeItem | None:
        return next((item for item in self.items(point) if isinstance(item, NodeItem)), None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._walk(key)
        elif key == Qt.Key.Key_Home:
            self._go_home()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.current_id:
            self.opened.emit(self.current_id)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom_by(ZOOM_STEP)
        elif key == Qt.Key.Key_Minus:
            self.zoom_by(1 / ZOOM_STEP)
        elif key == Qt.Key.Key_0:
            self.reset_zoom()
        elif key == Qt.Key.Key_Escape:
            event.ignore()  # whoever shows the picture closes it
            return
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        is_touchpad = not event.pixelDelta().isNull()
        zooms = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier) or not is_touchpad
        if zooms and event.angleDelta().y():
            self.zoom_by(ZOOM_STEP ** (event.angleDelta().y() / WHEEL_NOTCH), event.position().toPoint())
            event.accept()
        else:
            super().wheelEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        pressed_at, self._pressed_at = self._pressed_at, None
        point = event.position().toPoint()
        if pressed_at is None or (point - pressed_at).manhattanLength() >= QApplication.startDragDistance():
            return
        if (item := self._item_at(point)) is not None:
            self._set_current(item)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if (item := self._item_at(event.position().toPoint())) is not None:
            self._set_current(item)
            self.opened.emit(item.model.id)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if self._current is not None:
            self._current.set_current(True, True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if self._current is not None:
            self._current.set_current(True, False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        current, before = self._current, QRect(QPoint(0, 0), event.oldSize())
        if current is not None:
            place = self.mapFromScene(current.sceneBoundingRect()).boundingRect()
            if before.intersects(place) and not self.viewport().rect().contains(place):
                self.centerOn(current)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            item = self._item_at(event.pos())
            # As markup, so that long lines wrap; what a catalogue says is never markup itself.
            words = f'<p style="white-space: pre-line">{escape(item.words)}</p>' if item is not None else ""
            QToolTip.showText(event.globalPos(), words, self)
            return True
        return super().viewportEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if not hasattr(self, "_lines"):
            return
        if event.type() == QEvent.Type.PaletteChange:
            self._recolour()
        elif event.type() == QEvent.Type.FontChange:
            self._build()


class YearLine(QWidget):
    """The years above their columns; each stays in view as long as one of its columns does."""

    def __init__(self, picture: TreePicture, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = picture
        self._years: tuple[TreeYear, ...] = ()
        picture.view_moved.connect(self.update)

    def set_years(self, years: tuple[TreeYear, ...]) -> None:
        """Show these."""
        self._years = years
        self.setFixedHeight(round(self.fontMetrics().height() * 1.6))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme, end_of_last = colors(), 0.0
        with QPainter(self) as painter:
            for year in self._years:
                begin, end = self._picture.year_span(year)
                left, right = max(begin, 0.0, end_of_last), min(end, float(self.width()))
                needed = self.fontMetrics().horizontalAdvance(str(year.year))
                if right - left < min(needed, end - begin):
                    continue
                painter.setPen(QPen(QColor(theme.border), 2))
                painter.drawLine(QPointF(left, self.height() - 2), QPointF(right, self.height() - 2))
                box = QRectF(left, 0, max(right - left, needed), self.height() - 4)
                painter.setPen(QColor(theme.muted))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(year.year))
                end_of_last = box.right() + 4
