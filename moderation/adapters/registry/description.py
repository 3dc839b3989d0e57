"""The description of the registered model in MLflow."""

from __future__ import annotations

DESCRIPTION = """\
Scores how likely moderators are to remove a comment, and maps the score to `allow`, `review` or `remove`.

**Input**: a table with one text column `body`. **Output**: for each body `score_ppm` (0 to 1,000,000), `verdict` and
`policy_version`. `mlflow models serve`, the worker and the batch layer compute the same scores.

**How it is made**: tokens and lemmas of spaCy, hashed n-grams and surface features, TF-IDF, logistic regression. It is
trained on what moderators removed. Goals such as `precision>=0.9` determine the thresholds of the policy.

**Limits**: English text. It repeats the judgement of the moderators whose actions it was trained on, and their
mistakes. It knows nothing of authors, threads or pictures. Each version has a model card, `model_card.md`, if it was
trained on the lake.

**Aliases**: `production` serves; `challenger` passed the gate and waits for approval; `previous` served before. Workers
load only versions with a valid certificate. Documentation: `docs/model-life.md` of comment-moderation.
"""
"""Set when the model is created, or where it has no description. A description that a person wrote is kept."""
