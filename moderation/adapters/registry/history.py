"""History of a registered model as a section of its description in MLflow."""

from __future__ import annotations

from moderation.adapters.registry.client import Connection

HISTORY_MARKER = "<!-- history -->"
"""The description of the registered model up to this line is never changed by the history."""
_MOST_CHARACTERS = 5_000  # length of MLflow's column


class ModelHistory:
    """Writes the history below the marker. Raises the errors of ``Registry``.

    Args:
        connection: to the MLflow server.
        model_name: the registered model.
    """

    def __init__(self, connection: Connection, model_name: str) -> None:
        self._connection = connection
        self._model_name = model_name

    def write(self, lines: list[str]) -> None:
        """Replace the history; lines that do not fit are left out, the last ones first.

        Args:
            lines: Markdown, newest first.
        """
        client = self._connection.client
        with self._connection.asking(self._model_name):
            description = client.get_registered_model(self._model_name).description or ""
            changed = with_history(description, lines)
            if changed != description:
                client.update_registered_model(self._model_name, changed)


def with_history(description: str, lines: list[str]) -> str:
    """Return a description whose part below the marker is the history; the part above it stays as it is."""
    above = description.partition(HISTORY_MARKER)[0].rstrip()
    text = f"{above}\n\n{HISTORY_MARKER}\n## History\n".lstrip()
    for line in lines:
        if len(text) + len(line) + 1 > _MOST_CHARACTERS:
            break
        text += f"{line}\n"
    return text
