"""What `dev.py` does: sets up the environment, builds the engine once, runs the checks.

Standard library only: this runs before anything is installed.
"""
