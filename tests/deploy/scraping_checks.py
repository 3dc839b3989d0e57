"""Compare what Prometheus reads, and the token it sends, with the workers. Each check returns complaints."""

from __future__ import annotations

import yaml

from moderation.settings import Settings
from tests.conftest import ROOT
from tests.deploy.files import COMPOSE, PROMETHEUS, Files


def wrong_scraping(files: Files) -> list[str]:
    """Addresses of metrics that differ from the workers', and an interval that differs from Grafana's."""
    jobs = {each["job_name"]: each for each in files.prometheus["scrape_configs"]}
    source = next(iter(jobs["moderation-worker"]["dns_sd_configs"]))
    complaints = []
    if source["names"] != ["worker"] or source["port"] != Settings.model_fields["metrics_port"].default:
        complaints.append(f"Prometheus reads {source['names']}, port {source['port']}")
    grafana = yaml.safe_load((ROOT / "grafana/provisioning/datasources/moderation.yaml").read_text())
    told = {each["uid"]: each for each in grafana["datasources"]}["moderation-prometheus"]["jsonData"]["timeInterval"]
    if files.prometheus["global"]["scrape_interval"] != told:
        complaints.append(
            f"Prometheus reads every {files.prometheus['global']['scrape_interval']}, Grafana is told {told}"
        )
    sent = jobs["moderation-worker"].get("authorization", {})
    shell = " ".join(map(str, files.services["prometheus"]["entrypoint"]))
    if sent.get("type") != "Bearer" or f'"$$MODERATION_HTTP_TOKEN" > {sent.get("credentials_file")}' not in shell:
        complaints.append(f"Prometheus sends {sent}, which is not the token that its container writes")
    worker = files.services["worker"]["environment"]
    if worker.get("MODERATION_HTTP_TOKEN") != files.services["prometheus"]["environment"]["MODERATION_HTTP_TOKEN"]:
        complaints.append("service worker: it has another token than Prometheus")
    if worker.get("MODERATION_WORKER_HOST") != "0.0.0.0":  # noqa: S104 - in a container, on a network of its own
        complaints.append("service worker: its views and metrics cannot be reached from outside the container")
    return complaints


CHECKS = (wrong_scraping,)
BREAKS = (
    (wrong_scraping, PROMETHEUS, "port: 6067", "port: 6066"),
    (wrong_scraping, PROMETHEUS, "names: [worker]", "names: [workers]"),
    (wrong_scraping, PROMETHEUS, "scrape_interval: 15s", "scrape_interval: 60s"),
    (
        wrong_scraping,
        PROMETHEUS,
        "credentials_file: /run/secrets/moderation_http_token",
        "credentials_file: /tmp/token",
    ),
    (
        wrong_scraping,
        COMPOSE,
        "      MODERATION_HTTP_TOKEN: ${MODERATION_HTTP_TOKEN:?see .env.example}\n      MODERATION_STATE",
        "      MODERATION_STATE",
    ),
    (wrong_scraping, COMPOSE, "      MODERATION_WORKER_HOST: 0.0.0.0\n", ""),
)
"""Alterations that a check must detect: the check, the file, the text and its replacement."""
