"""Finds the models that other programs already keep. Nothing is copied, changed or deleted."""
