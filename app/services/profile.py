"""Everything behind the window for one data folder."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.attempts import AttemptJournal
from app.engine.client import EngineClient
from app.paths import Paths
from app.services.catalog import CatalogService
from app.services.chat import ChatService
from app.services.conversations import ConversationsService
from app.services.copy_survey import CopySurvey
from app.services.downloads import DownloadService
from app.services.fits import FitService
from app.services.hardware import HardwareService
from app.services.hub import HubService
from app.services.library import LibraryService
from app.services.model_updates import ModelUpdates
from app.services.models import ModelService
from app.services.rest import EngineRest
from app.services.settings import SettingsService
from app.services.store import StoreService
from app.services.tasks import Tasks
from app.services.template_survey import TemplateSurvey
from app.services.templates import TemplateService

ENGINE_SHUTDOWN_MS = 1500


@dataclass(frozen=True, slots=True)
class Profile:
    """The services in the order in which they were made; they end in reverse."""

    paths: Paths
    settings: SettingsService
    store: StoreService
    engine: EngineClient
    attempts: AttemptJournal
    models: ModelService
    hardware: HardwareService
    rest: EngineRest
    conversations: ConversationsService
    chat: ChatService
    tasks: Tasks
    fits: FitService
    hub: HubService
    library: LibraryService
    downloads: DownloadService
    catalog: CatalogService
    updates: ModelUpdates
    templates: TemplateService
    survey: TemplateSurvey
    copies: CopySurvey

    def start(self, model: str | None) -> None:
        """Open the database and load the first model, both in the background."""
        self.store.open()
        self.models.start(model)

    def shut_down(self) -> None:
        """Store what is in flight, then end the engine and the store thread. Waits, but not for long."""
        self.downloads.shut_down()
        self.copies.shut_down()
        self.survey.shut_down()
        self.library.shut_down()
        self.conversations.flush_drafts()
        self.chat.shut_down()
        self.models.shut_down()
        self.settings.close()
        self.engine.shutdown(ENGINE_SHUTDOWN_MS)
        self.attempts.strike()
        self.hub.shut_down()
        self.tasks.shut_down()
        self.store.close()
