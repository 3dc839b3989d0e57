"""What ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` open: our verified model, scored by our kernel.

Input: one text column ``body``. Output: ``score_ppm``, ``verdict`` and ``policy_version``, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.adapters.model_folder.folder import OpenModel, open_model
from moderation.settings import load_settings
from moderation.text import Lexicon

if TYPE_CHECKING:
    from pandas import DataFrame

LOADER_MODULE = __name__
BODY = "body"


class ServedModel:
    """The model as MLflow calls it.

    Args:
        opened: verified.
    """

    def __init__(self, opened: OpenModel) -> None:
        self.opened = opened

    def predict(self, model_input: DataFrame | Sequence[str], params: Mapping[str, Any] | None = None) -> DataFrame:
        """Score comments' bodies.

        Args:
            model_input: a table with the column ``body``, or a list of texts.
            params: none are known; MLflow passes what a request carries.

        Returns:
            A table with a row per body, in order: ``score_ppm`` (integer), ``verdict``, ``policy_version``.

        Raises:
            ValueError: there is no column ``body``, or a body is no text.
        """
        from pandas import DataFrame  # brought by MLflow; the core does without

        if isinstance(model_input, DataFrame) and BODY not in model_input:
            raise ValueError(f"the input has no column {BODY}")
        texts = list(model_input[BODY] if isinstance(model_input, DataFrame) else model_input)
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"{BODY} of row {row} is no text")
        scores = self.opened.kernel.score_many(texts)
        verdicts = [verdict.value for verdict in self.opened.policy.verdicts(scores)]
        return DataFrame(
            {
                "score_ppm": scores,
                "verdict": verdicts,
                "policy_version": [self.opened.policy.policy_version] * len(texts),
            }
        )


def _load_pyfunc(path: str) -> ServedModel:
    """MLflow's entry point: verify and open the model folder at ``path``.

    Raises:
        ModelRefused: see :func:`moderation.adapters.model_folder.folder.open_model`.
    """
    settings = load_settings()
    return ServedModel(open_model(Path(path), Lexicon(settings.lexicon_max_chunks), settings.model_max_bytes))
