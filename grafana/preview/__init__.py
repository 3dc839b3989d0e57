"""The dashboard *Reconciliation* as one static page, for machines without Grafana."""

from grafana.preview.page import render
from grafana.preview.reading import Preview, QueryResult, read_preview

__all__ = ["Preview", "QueryResult", "read_preview", "render"]
