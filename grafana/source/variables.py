"""Variables and links that dashboards share."""

from __future__ import annotations

from dataclasses import dataclass

from grafana.source.model import Column, Link, Variable
from moderation.settings import Settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of other UIs for links; the defaults are those of the local stack."""

    mlflow_url: str = Settings.model_fields["mlflow_url"].default
    model_name: str = Settings.model_fields["model_name"].default


MODEL_LINK = Link(
    "Open this version in MLflow",
    "${mlflow:raw}/#/models/${model_name:raw}/versions/${__data.fields.model_version:percentencode}",
)
MODEL_COLUMN = Column("model version", link=MODEL_LINK)
VERDICT_COLOURS = {"remove": "red", "review": "orange", "allow": "green"}

TOPIC = Variable("topic", "Topic", "SELECT DISTINCT topic FROM serving.watermarks ORDER BY topic")
COMMUNITY = Variable(
    "community",
    "Community",
    "SELECT DISTINCT community FROM serving.workload WHERE topic = ${topic:sqlstring} ORDER BY community",
    is_many=True,
)
SERVED_VERSION = Variable(
    "model_version",
    "Model version",
    "SELECT DISTINCT model_version FROM serving.served_versions WHERE topic = ${topic:sqlstring} ORDER BY "
    "model_version",
    is_many=True,
)


def link_variables(addresses: Addresses) -> tuple[Variable, ...]:
    """Return the variables that ``MODEL_LINK`` uses."""
    return (
        Variable("mlflow", "MLflow", addresses.mlflow_url.rstrip("/"), is_constant=True),
        Variable("model_name", "Registered model", addresses.model_name, is_constant=True),
    )
