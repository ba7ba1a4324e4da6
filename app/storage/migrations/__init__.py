"""The steps from one stored schema to the next, run by Alembic. A step that was released never changes."""
