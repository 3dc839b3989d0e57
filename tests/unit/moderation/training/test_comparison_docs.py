"""The numbers in docs/model-comparison.md are those of its evidence."""

from __future__ import annotations

import json

from tests.conftest import ROOT


def test_every_row_of_the_table_is_in_the_evidence() -> None:
    figures = json.loads((ROOT / "docs" / "evidence" / "compare.json").read_text())["figures"]
    page = (ROOT / "docs" / "model-comparison.md").read_text()
    for model in figures["models"]:
        difference, low, high = model["auc_difference"], min(model["auc_folds"]), max(model["auc_folds"])
        told = "–"
        if difference is not None:
            told = f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
        row = [
            *(model["title"], f"{model['auc_mean']:.4f}", f"{low:.3f}–{high:.3f}", f"{model['average_precision']:.4f}"),
            *(f"{model['brier']:.4f}", f"{model['best_f1']:.4f}", told),
            *(f"{model['fit_seconds']:.2f}", f"{model['comments_per_s']:,}"),
        ]
        assert f"| {' | '.join(row)} |" in page
        assert model["finding"] == ("baseline" if difference is None else "worse")
    assert f"{figures['comments']:,} real r/science comments" in page
