"""The transcript: the messages of one branch of a conversation, drawn, scrolled, selected and edited."""

from app.ui.transcript.view import TranscriptView

__all__ = ["TranscriptView"]
