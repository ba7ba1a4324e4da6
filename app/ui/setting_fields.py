"""One field per kind of setting: each shows a value and tells when the person has changed it."""

from __future__ import annotations

from abc import abstractmethod

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QHideEvent, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QWidget,
)

from app.core.sampling import Sampling
from app.core.settings import Setting, Value
from app.ui.message_edit import clean_text
from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.setting_words import SettingWords

TYPING_PAUSE_MS = 400


class SettingField(QWidget):  # abstract to mypy alone: a QWidget cannot have ABCMeta
    """The base of all: `changed` is emitted for changes by the person only."""

    changed = Signal(object)  # Value

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self.words = words
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)

    @abstractmethod
    def value(self) -> Value:
        """The value on screen."""

    @abstractmethod
    def set_value(self, value: Value) -> None:
        """Show a value; nothing is emitted."""

    def _adopt(self, control: QWidget) -> None:
        """Name the control after the setting and let clicks on the label lead to it."""
        control.setAccessibleName(self.words.label)
        control.setAccessibleDescription(self.words.help)
        self.setFocusProxy(control)


class CalmComboBox(QComboBox):
    """The wheel scrolls the page, not the choice, until the box has the focus."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class CalmSpinBox(QDoubleSpinBox):
    """The same for figures. Whole numbers are figures without decimals: a seed is too large for QSpinBox."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceField(SettingField):
    """A few named choices."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._box = CalmComboBox(self)
        self._box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for choice in setting.choices:
            self._box.addItem(words.choices[choice], choice)
        self._box.activated.connect(self._on_activated)
        self._adopt(self._box)
        self._layout.addWidget(self._box)
        self._layout.addStretch(1)

    def value(self) -> Value:
        return str(self._box.currentData())

    def set_value(self, value: Value) -> None:
        self._box.setCurrentIndex(self._box.findData(value))

    def _on_activated(self, _index: int) -> None:
        self.changed.emit(self.value())


class SwitchField(SettingField):
    """On or off."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._box = QCheckBox(self.tr("On"), self)
        self._box.clicked.connect(self._on_clicked)
        self._adopt(self._box)
        self._layout.addWidget(self._box)
        self._layout.addStretch(1)

    def value(self) -> Value:
        return self._box.isChecked()

    def set_value(self, value: Value) -> None:
        self._box.setChecked(value is True)

    def _on_clicked(self, checked: bool) -> None:
        self.changed.emit(checked)


class LineField(SettingField):
    """One line, such as an address; told when it is complete: at Enter, or when the focus or the window goes away."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._told = ""
        self._edit = QLineEdit(self)
        self._edit.editingFinished.connect(self._tell)
        self._adopt(self._edit)
        self._layout.addWidget(self._edit)

    def value(self) -> Value:
        return clean_text(self._edit.text()).strip()

    def set_value(self, value: Value) -> None:
        text = str(value or "")
        if not self._edit.hasFocus() or self.value() == self._told:  # what is being typed is newer
            self._edit.setText(text)
            self._told = text

    def _tell(self) -> None:
        if self.value() != self._told:
            self._told = str(self.value())
            self.changed.emit(self._told)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._tell()


class TextField(SettingField):
    """Several lines; a change is told after a pause in typing, or when the focus or the window goes away."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._setting_text = False
        self._edit = QPlainTextEdit(self)
        self._edit.setTabChangesFocus(True)
        self._edit.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        use_slim_scroll_bars(self._edit)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(TYPING_PAUSE_MS)
        self._pause.timeout.connect(self._tell)
        self._edit.textChanged.connect(self._on_text_changed)
        self._edit.installEventFilter(self)
        self._adopt(self._edit)
        self._layout.addWidget(self._edit)
        self._set_height()

    def value(self) -> Value:
        return clean_text(self._edit.toPlainText())

    def set_value(self, value: Value) -> None:
        text = str(value or "")
        if text != self.value() and not self._pause.isActive():  # what is being typed is newer
            self._setting_text = True
            self._edit.setPlainText(text)
            self._setting_text = False

    def _on_text_changed(self) -> None:
        if not self._setting_text:
            self._pause.start()

    def _tell(self) -> None:
        self._pause.stop()
        self.changed.emit(self.value())

    def _set_height(self) -> None:
        self._edit.setFixedHeight(self.fontMetrics().lineSpacing() * self.setting.lines + 12)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if watched is self._edit and isinstance(event, QFocusEvent) and event.lostFocus() and self._pause.isActive():
            self._tell()
        return super().eventFilter(watched, event)  # type: ignore[arg-type]  # always a QObject

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if self._pause.isActive():
            self._tell()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._set_height()


class FigureField(SettingField):
    """A number. Where None is legal, a check box says "As the model suggests" and the number waits behind it."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._box = CalmSpinBox(self)
        self._box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._box.setDecimals(0 if setting.kind is int else 2)
        self._box.setRange(setting.minimum, setting.maximum)
        self._box.setSingleStep(setting.step)
        self._box.setSuffix(words.unit)
        self._box.setSpecialValueText(words.zero)
        self._box.setGroupSeparatorShown(setting.key != "sampling.seed")
        self._box.setKeyboardTracking(False)
        self._adopt(self._box)
        self._follow: QCheckBox | None = None
        if setting.default is None:
            self._follow = self._follow_box(setting)
            self._layout.addWidget(self._follow)
        self._layout.addWidget(self._box)
        self._layout.addStretch(1)
        self._set_width()
        self.set_value(setting.default)
        self._box.valueChanged.connect(self._on_value_changed)

    def value(self) -> Value:
        if self._follow is not None and self._follow.isChecked():
            return None
        return int(self._box.value()) if self.setting.kind is int else round(self._box.value(), 2)

    def set_value(self, value: Value) -> None:
        self._box.blockSignals(True)
        if self._follow is not None:
            self._follow.setChecked(value is None)
            self._box.setEnabled(value is not None)
        shown = _start_value(self.setting) if value is None else float(value)
        if shown != self._box.value():
            self._box.setValue(shown)
        self._box.blockSignals(False)

    def _follow_box(self, setting: Setting) -> QCheckBox:
        random = setting.key == "sampling.seed"
        box = QCheckBox(self.tr("Random") if random else self.tr("As the model suggests"), self)
        box.setAccessibleName(f"{self.words.label}: {box.text()}")
        box.clicked.connect(self._on_follow_clicked)
        self.setFocusProxy(box)
        return box

    def _on_follow_clicked(self, checked: bool) -> None:
        self._box.setEnabled(not checked)
        self.changed.emit(self.value())

    def _on_value_changed(self, _value: float) -> None:
        self.changed.emit(self.value())

    def _set_width(self) -> None:
        metrics = self.fontMetrics()
        text = max(self.words.zero, f"0,000,000{self.words.unit}", key=metrics.horizontalAdvance)
        self._box.setMinimumWidth(metrics.horizontalAdvance(text) + 3 * metrics.height())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._set_width()


def _start_value(setting: Setting) -> float:
    """Where a figure starts when the person no longer leaves it to the model: Hearth's own default."""
    default = getattr(Sampling(), setting.key.removeprefix("sampling."), None)
    return float(default) if isinstance(default, (int, float)) else max(setting.minimum, 0.0)


def make_field(setting: Setting, words: SettingWords, parent: QWidget) -> SettingField:
    """The right field for a setting."""
    if setting.choices:
        return ChoiceField(setting, words, parent)
    if setting.kind is bool:
        return SwitchField(setting, words, parent)
    if setting.kind is str:
        kind = TextField if setting.lines > 1 else LineField
        return kind(setting, words, parent)
    return FigureField(setting, words, parent)
