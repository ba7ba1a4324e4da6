"""What outlives the window: conversations, known model files and their backups, in one SQLite file."""
