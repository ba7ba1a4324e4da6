"""One virtual screen for the session, one application for each test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.running_app import RunningApp
from tests.e2e.screen import Screen

StartApp = Callable[..., RunningApp]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails leaves a picture of the screen."""
    report = yield
    values = getattr(item, "funcargs", {})
    if report.failed and "screen" in values and "tmp_path" in values:
        file = values["tmp_path"] / f"{report.when}.png"
        values["screen"].picture().save(str(file))
        report.sections.append(("Picture of the screen", str(file)))
    return report


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    if sys.platform != "linux":
        pytest.skip("the virtual screen is an X server: Linux only")
    missing = [program for program in ("Xvfb", "xdotool") if shutil.which(program) is None]
    if missing:
        pytest.fail(f"{missing} must be installed: python3 dev.py setup does it")
    screen = Screen()
    yield screen
    screen.close()


@pytest.fixture
def start_app(screen: Screen, tmp_path: Path) -> Iterator[StartApp]:
    """Starts the application on a data folder of the test; may be called again on the same folder."""
    apps: list[RunningApp] = []

    def start(*arguments: str, data: Path | None = None, size_px: tuple[int, int] = (1280, 800)) -> RunningApp:
        app = RunningApp(screen, data or tmp_path / "data", *arguments, size_px=size_px)
        apps.append(app)
        return app

    yield start
    for app in apps:
        app.end()
