"""Signoff: change control for AI agents. An agent can work on production, and cannot destroy it."""

__version__ = "0.1.0"
