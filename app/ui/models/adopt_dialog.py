"""Models of other programs that were found: which of them to use where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QTreeWidgetItem, QVBoxLayout, QWidget

from app.core.library import FoundFile, Owner
from app.services.wording import file_size, number
from app.ui.buttons import Button, ButtonKind
from app.ui.dialog_size import open_in_size
from app.ui.labels import Label, hint
from app.ui.models.calm_tree import CalmTree
from app.ui.models.library_details import owner_words

PLACE_ROLE = int(Qt.ItemDataRole.UserRole) + 1
CHECKED, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class AdoptDialog(QDialog):
    """All are checked at first, by program. Show it with `open`; it ends in one of the two signals."""

    adopted = Signal(list)  # the FoundFiles that were checked
    declined = Signal(list)  # all FoundFiles, when the person wants none of them now

    def __init__(self, found: Sequence[FoundFile], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found = tuple(found)
        total = file_size(sum(file.size_bytes for file in self._found))
        self.setWindowTitle(self.tr("Models of other programs"))
        title = self.tr("Found %n model(s) of other programs ({size})", "", len(self._found))
        heading = Label(title.format(size=total), self, percent=130, bold=True, wraps=True)
        promise = hint(
            self.tr(
                "Hearth uses them where they are. Nothing is copied, changed or deleted, and the other programs go on "
                "as before."
            ),
            self,
        )
        self.tree = CalmTree(self)
        self.tree.setAccessibleName(self.tr("Models found"))
        self.tree.setColumnCount(2)
        self.tree.header().setStretchLastSection(False)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._fill()
        self.tree.itemChanged.connect(self._on_item_changed)
        self._sum = Label("", self)
        later = Button(self.tr("Not now"), self)
        later.clicked.connect(self.reject)
        self._use = Button(self.tr("Use them here"), self, kind=ButtonKind.PRIMARY)
        self._use.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(later)
        buttons.addWidget(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 16)
        layout.setSpacing(12)
        for widget in (heading, promise):
            layout.addWidget(widget)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self._sum)
        layout.addLayout(buttons)
        self._update_sum()
        self.accepted.connect(self._on_accepted)
        self.rejected.connect(self._on_rejected)
        line_px = self.fontMetrics().height()
        open_in_size(self, line_px * 36, line_px * 28)

    @property
    def checked(self) -> list[FoundFile]:
        """What would be used."""
        return [self._found[place] for place in sorted(self._chosen)]

    @property
    def summary(self) -> str:
        """How many are checked, and how large they are together."""
        return self._sum.text()

    def _fill(self) -> None:
        self._chosen = set(range(len(self._found)))
        groups: dict[Owner, list[int]] = {}
        for place, file in enumerate(self._found):
            groups.setdefault(file.owner, []).append(place)
        for owner, places in groups.items():
            together = sum(self._found[place].size_bytes for place in places)
            group = self._new_item(owner_words(owner), together, is_group=True)
            for place in sorted(places, key=self._shown_name):
                file = self._found[place]
                item = self._new_item(self._shown_name(place), file.size_bytes)
                item.setToolTip(0, "\n".join(file.parts))
                item.setData(0, PLACE_ROLE, place)
                group.addChild(item)
            self.tree.addTopLevelItem(group)
        self.tree.expandAll()
        self.tree.header().setSectionResizeMode(0, self.tree.header().ResizeMode.Stretch)
        self.tree.header().setSectionResizeMode(1, self.tree.header().ResizeMode.ResizeToContents)
        if (first := self.tree.topLevelItem(0)) is not None:
            self.tree.setCurrentItem(first)

    def _shown_name(self, place: int) -> str:
        return self._found[place].name or PurePath(self._found[place].path).name

    def _new_item(self, name: str, size_bytes: int, *, is_group: bool = False) -> QTreeWidgetItem:
        item = QTreeWidgetItem([name, file_size(size_bytes)])
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable
        item.setFlags(flags | Qt.ItemFlag.ItemIsAutoTristate if is_group else flags)
        item.setCheckState(0, CHECKED)
        item.setData(0, int(Qt.ItemDataRole.AccessibleTextRole), f"{name}, {file_size(size_bytes)}")
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignVCenter)
        if is_group:
            font = self.tree.font()
            font.setBold(True)
            item.setFont(0, font)
        return item

    def _update_sum(self) -> None:
        checked = self.checked
        words = self.tr("{count} of {all} chosen, {size}")
        amount = file_size(sum(file.size_bytes for file in checked))
        self._sum.setText(words.format(count=number(len(checked)), all=number(len(self._found)), size=amount))
        self._use.setEnabled(bool(checked))

    def _on_item_changed(self, item: QTreeWidgetItem) -> None:
        place = item.data(0, PLACE_ROLE)
        if place is None:  # a program, whose models tell for themselves
            return
        if item.checkState(0) is CHECKED:
            self._chosen.add(place)
        else:
            self._chosen.discard(place)
        self._update_sum()

    def _on_accepted(self) -> None:
        self.adopted.emit(self.checked)

    def _on_rejected(self) -> None:
        self.declined.emit(list(self._found))
