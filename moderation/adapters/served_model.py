"""The model class for ``mlflow models serve`` and ``mlflow.pyfunc.load_model``: a verified model and the kernel.

Input: one text column ``body``. Output: ``score_ppm``, ``verdict`` and ``policy_version``, one row for each body.
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
    """The interface that MLflow calls.

    Args:
        opened: the verified model.
    """

    def __init__(self, opened: OpenModel) -> None:
        self.opened = opened

    def predict(self, model_input: DataFrame | Sequence[str], params: Mapping[str, Any] | None = None) -> DataFrame:
        """Score bodies of comments.

        Args:
            model_input: a table with the column ``body``, or a list of texts.
            params: ignored; MLflow passes the parameters of the request.

        Returns:
            A table with one row for each body, in order: ``score_ppm`` (integer), ``verdict``, ``policy_version``.

        Raises:
            ValueError: there is no column ``body``, or a body is not a string.
        """
        from pandas import DataFrame  # comes with MLflow; the core does not depend on it

        if isinstance(model_input, DataFrame) and BODY not in model_input:
            raise ValueError(f"the input has no column {BODY}")
        texts = list(model_input[BODY] if isinstance(model_input, DataFrame) else model_input)
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"{BODY} of row {row} is not a string")
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
