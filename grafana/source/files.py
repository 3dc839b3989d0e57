"""Generate the files of grafana/: dashboards, alert rules and provisioning."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import yaml

from grafana.source.alerts import ALERTS
from grafana.source.model import Dashboard
from grafana.source.models import models
from grafana.source.moderation_now import moderation_now
from grafana.source.pipeline_health import pipeline_health
from grafana.source.provisioning import alert_rules, dashboard_folder, data_sources
from grafana.source.reconciliation import reconciliation
from grafana.source.render import render_dashboard
from grafana.source.variables import Addresses

_HEAD = "# Written by `python -m grafana.source`; a test compares.\n"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Writes multi-line text as blocks and never writes aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dashboards(addresses: Addresses) -> tuple[Dashboard, ...]:
    """Return all dashboards."""
    return reconciliation(addresses), moderation_now(addresses), models(addresses), pipeline_health()


def files(addresses: Addresses) -> dict[PurePosixPath, str]:
    """Return the text of every file by its path below grafana/."""
    every = dashboards(addresses)
    rendered = {
        PurePosixPath("dashboards", f"{dashboard.title.lower().replace(' ', '_')}.json"): json.dumps(
            render_dashboard(dashboard), indent=2, ensure_ascii=False
        )
        + "\n"
        for dashboard in every
    }
    provisioned = {
        "datasources/moderation.yaml": data_sources(),
        "dashboards/moderation.yaml": dashboard_folder(),
        "alerting/moderation.yaml": alert_rules(ALERTS, every),
    }
    return rendered | {PurePosixPath("provisioning", path): _HEAD + _yaml(data) for path, data in provisioned.items()}


def _yaml(data: dict[str, Any]) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text
