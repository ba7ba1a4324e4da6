"""What the models page costs. Run: python -m tests.benchmarks.models_page [--rows N] [--files N]

All times are CPU time of the main thread, painting included, in milliseconds. A frame has 16.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QWidget

from app.core.catalog import Catalog
from app.core.fit import MachineMemory
from app.core.library import LibraryModel, Owner
from app.core.speed import SpeedModel
from app.hub.catalog_file import load_catalog
from app.ui.application import dress
from app.ui.models.catalogue_rows import judge_rows
from app.ui.models.family_tree import FamilyTree
from app.ui.models.library_view import LibraryView, Order
from app.ui.models.recommended_view import RecommendedView
from app.ui.theme import apply_theme

WIDTH_PX, HEIGHT_PX = 1280, 800
STEP_PX = 37
STEPS = 150
READS = 20


def timed_ms(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1000


def shown(make: Callable[[], QWidget]) -> QWidget:
    widget = make()
    widget.resize(WIDTH_PX, HEIGHT_PX)
    widget.show()
    QApplication.processEvents()
    widget.grab()
    return widget


def frames_ms(area: QAbstractScrollArea, *, sideways: bool = False) -> list[float]:
    """One frame for each step of scrolling from end to end and back, as the screen would ask for it."""
    bar = area.horizontalScrollBar() if sideways else area.verticalScrollBar()
    step, times = STEP_PX, []
    for _ in range(STEPS):
        if not bar.minimum() <= bar.value() + step <= bar.maximum():
            step = -step

        def move(step: int = step) -> None:
            bar.setValue(bar.value() + step)
            area.viewport().repaint()

        times.append(timed_ms(move))
    return times


def report(name: str, times: Sequence[float]) -> None:
    ordered = sorted(times)
    p99 = ordered[int(len(ordered) * 0.99) - 1]
    print(f"{name:<44} median {statistics.median(times):6.2f}   p99 {p99:6.2f}   longest {ordered[-1]:6.2f}")


def with_rows(catalog: Catalog, rows: int) -> Catalog:
    models = list(catalog.models)
    for at in range(max(0, rows - len(models))):
        models.append(replace(catalog.models[at], id=f"copy-{at}"))
    return replace(catalog, models=tuple(models[:rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--files", type=int, default=500)
    options = parser.parse_args()
    rows = options.rows
    app = QApplication([])
    dress(app)
    apply_theme(app, "light", 100)
    shipped = load_catalog(Path(__file__).resolve().parents[2] / "resources" / "catalog.json")
    catalog = with_rows(shipped, rows)

    machine = MachineMemory(12_000_000_000, 16_000_000_000, threads=4)
    judged = judge_rows(catalog, machine, SpeedModel({"CPU": 30e9}), "f16")  # in the window: by a worker thread

    def recommended() -> QWidget:
        view = RecommendedView()
        view.set_rows(catalog, judged)
        return view

    def tree() -> QWidget:
        view = FamilyTree()
        view.set_catalog(shipped)
        return view

    shown(tree).close()  # fonts are loaded
    report(f"open the list of {rows} rows", [timed_ms(lambda: shown(recommended).close()) for _ in range(7)])
    page = shown(recommended)
    assert isinstance(page, RecommendedView)
    report("scroll the list, a frame", frames_ms(page.list))
    report("type a letter into the search", [timed_ms(lambda t=t: page.set_search(t)) for t in "abcdefghijklmnop"])
    page.close()
    report(f"open the tree of {len(shipped.models)} rows", [timed_ms(lambda: shown(tree).close()) for _ in range(7)])
    view = shown(tree)
    assert isinstance(view, FamilyTree)
    report("pan the tree down, a frame", frames_ms(view.picture))
    report("pan the tree sideways, a frame", frames_ms(view.picture, sideways=True))

    def zoom(factor: float) -> None:
        view.picture.zoom_by(factor)
        view.picture.viewport().repaint()

    report("zoom the tree by a step, a frame", [timed_ms(lambda f=f: zoom(f)) for f in [0.8] * 8 + [1.25] * 12])
    view.picture.show_all()
    view.picture.zoom_by(1.6)
    report("pan the tree, nearly all of it in view", frames_ms(view.picture))
    view.close()
    report_library(options.files)


def report_library(count: int) -> None:
    """The list of files on this computer is read again with each change of one of them, also where nobody sees it."""
    models = [
        LibraryModel(path, f"Model {place}", Owner.LM_STUDIO, (path,), place, "llama", 3_000_000_000, "Q4_K_M")
        for place in range(count)
        for path in [f"/models/publisher/Model-{place}-GGUF/model-{place}-Q4_K_M.gguf"]
    ]

    def reads() -> Iterator[list[LibraryModel]]:
        """As after a rename: values from the database, one of which is another."""
        for place in range(READS):
            read = [replace(model) for model in models]
            read[place] = replace(read[place], name=f"Renamed {place}")
            yield read

    def show(read: list[LibraryModel]) -> None:
        view.set_models(read, None)
        QApplication.processEvents()

    view = LibraryView()
    report(f"read {count} hidden files again", [timed_ms(lambda r=read: show(r)) for read in reads()])
    shown(lambda: view)
    report(f"read {count} files again", [timed_ms(lambda r=read: show(r)) for read in reads()])
    report("sort them", [timed_ms(lambda o=order: view.sort_by(o)) for order in (*Order, *Order)])
    report("search them by a letter", [timed_ms(lambda t=text: view.set_search(t)) for text in "abcdefghijklmnop"])
    view.close()


if __name__ == "__main__":
    main()
