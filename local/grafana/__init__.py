"""Grafana as code: dashboards, alert rules and provisioning. ``python -m local.grafana`` writes them to grafana/."""
