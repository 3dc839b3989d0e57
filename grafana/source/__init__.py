"""Grafana as code: dashboards, alert rules and provisioning. ``python -m grafana.source`` writes them to grafana/."""
