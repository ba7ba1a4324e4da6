"""The composition root: the only place that knows every part. It puts them together and takes them apart."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication

from app.collector import MainThreadCollector
from app.crash import CrashReporter, start_logging
from app.engine.attempts import AttemptJournal
from app.engine.client import EngineClient
from app.engine.command import engine_command, engine_environment
from app.hub.adopt.places import Places
from app.memory_release import MemoryRelease, keep_one_heap
from app.paths import Paths, builtin_model, choose_paths, resources, shipped_catalog
from app.services.adapter_choices import AdapterChoices
from app.services.catalog import CatalogService
from app.services.chat import ChatService
from app.services.conversations import ConversationsService
from app.services.copy_survey import CopySurvey
from app.services.device_choice import DeviceChoice
from app.services.downloaded_model import downloaded_model
from app.services.downloads import DownloadService
from app.services.fits import FitService
from app.services.hardware import HardwareService
from app.services.hub import HubService
from app.services.library import LibraryService
from app.services.model_updates import ModelUpdates
from app.services.models import ModelService
from app.services.profile import Profile
from app.services.rest import EngineRest
from app.services.settings import SettingsService
from app.services.store import StoreService
from app.services.tasks import Tasks
from app.services.template_survey import TemplateSurvey
from app.services.templates import TemplateService
from app.single_instance import SingleInstance

if TYPE_CHECKING:
    from app.core.downloads import Download
    from app.ui.desktop_notice import DesktopNotice
    from app.ui.main_window import MainWindow


def build_profile(
    paths: Paths,
    parent: QObject,
    engine_backend: str = "llama",
    places: Callable[[], Places] = Places.of_this_user,
) -> Profile:
    """The services for one data folder; nothing is started yet. `places` says where other programs keep models."""
    settings = SettingsService(paths.settings, parent)
    store = StoreService(paths.database, paths.backups, parent)
    attempts = AttemptJournal(paths.attempts)
    engine = EngineClient(
        engine_command(engine_backend, paths.attempts), paths.engine_log, parent, engine_environment()
    )
    choice = DeviceChoice(settings, paths.device_speeds, parent)
    models = ModelService(engine, store, settings, choice, attempts, builtin_model(), paths.states, parent)
    hardware = HardwareService(engine, models, choice, attempts, parent)
    rest = EngineRest(engine, models, settings, parent)
    conversations = ConversationsService(store, parent)
    chat = ChatService(engine, store, settings, models, conversations, parent)
    tasks = Tasks(parent)
    fits = FitService(tasks, settings, engine, models, choice, paths.speed_history, parent)
    hub = HubService(settings, tasks, paths.hub_answers, os.environ, parent)
    downloads = DownloadService(store, tasks, settings, hub.access, paths.models, parent)
    library = LibraryService(store, tasks, places, lambda: downloads.folder, paths.moves, parent)
    adapters = AdapterChoices(settings)
    # Before the models, which look what is chosen.
    library.moved.connect(lambda path, moved: adapters.follow(path, moved))
    library.moved.connect(models.follow)
    downloads.finished.connect(lambda download: library.adopt([downloaded_model(download)]))
    hub.access_changed.connect(downloads.reconnect)
    catalog = CatalogService(tasks, settings, hub.access, shipped_catalog(), paths.catalog, parent)
    templates = TemplateService(engine, models.templates, library, catalog, parent)
    surveyor = EngineClient(engine_command("none", is_idle=True), paths.survey_log, parent, engine_environment())
    survey = TemplateSurvey(surveyor, engine, store, library, catalog, templates, parent)
    return Profile(
        paths=paths,
        settings=settings,
        store=store,
        engine=engine,
        attempts=attempts,
        models=models,
        hardware=hardware,
        rest=rest,
        conversations=conversations,
        chat=chat,
        tasks=tasks,
        fits=fits,
        hub=hub,
        downloads=downloads,
        library=library,
        catalog=catalog,
        updates=ModelUpdates(tasks, hub.access, parent),
        templates=templates,
        survey=survey,
        copies=CopySurvey(engine, library, tasks, parent),
    )


def run_window(data_dir: str | None, model: str | None) -> int:
    """Run the application until its window is closed; the exit code."""
    from app.ui.application import create_application
    from app.ui.crash_window import CrashWindow
    from app.ui.main_window import MainWindow

    keep_one_heap()
    paths = choose_paths(data_dir)
    _make_folders(paths)
    application = create_application(sys.argv)
    wanted = str(Path(model).absolute()) if model else ""
    instance = SingleInstance(paths.data, application)
    if not instance.become_the_one(wanted):
        return 0
    stop_logging = start_logging(paths.app_log)
    reporter = CrashReporter(application)
    reporter.install()
    collector = MainThreadCollector(application)
    profile = build_profile(paths, application)
    memory = MemoryRelease(application)
    profile.store.opened.connect(memory.give_back)
    profile.chat.opened.connect(memory.give_back_soon)
    window = MainWindow(profile, resources())
    reporter.reported.connect(lambda report: CrashWindow(report, window).show())
    instance.raised.connect(window.come_to_front)
    tell_on_the_desktop(profile.downloads, window)
    _quit_on_signals(application)
    window.show()
    collector.start()
    profile.start(wanted or None)
    try:
        return application.exec()
    finally:
        window.remember()
        profile.shut_down()
        instance.release()
        reporter.uninstall()
        stop_logging()
        _end(application, window)
        collector.stop()


def tell_on_the_desktop(downloads: DownloadService, window: MainWindow) -> None:
    """Downloads end while nobody looks at the window. What tells of them is made when it is first needed."""
    made: list[DesktopNotice] = []

    def notice() -> DesktopNotice:
        from app.ui.desktop_notice import DesktopNotice

        if not made:
            made.append(DesktopNotice(window))
            made[0].clicked.connect(window.come_to_front)
        return made[0]

    def on_finished(download: Download) -> None:
        if not window.isActiveWindow():
            notice().tell_finished(download)

    def on_failed(download: Download) -> None:
        if not window.isActiveWindow():
            notice().tell_failed(download)

    downloads.finished.connect(on_finished)
    downloads.failed.connect(on_failed)


def _quit_on_signals(application: QApplication) -> None:
    """Ctrl+C in the terminal and a polite kill close the window as its cross does.

    Python hears of a signal when it next runs anything, half a second later at most (`MainThreadCollector`).
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        application.quit()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _make_folders(paths: Paths) -> None:
    """What cannot be made is told later, by the part that needs it."""
    for folder in (paths.data, paths.logs, paths.cache):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue


def _end(application: QApplication, window: QObject) -> None:
    """Delete the window while the application still exists: Qt crashes the other way round."""
    window.deleteLater()
    application.processEvents()
