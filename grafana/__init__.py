"""Grafana's dashboards and alert rules, the program that writes them, and a page that shows one without Grafana."""
