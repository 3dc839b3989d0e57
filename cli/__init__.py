"""The ``moderation`` command."""
