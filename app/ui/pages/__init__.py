"""The pages beside the chat: models, trash, settings, help."""
