"""The dashboard *Reconciliation* as one static page, for machines without Grafana."""

from grafana.preview.page import render
from grafana.preview.reading import Answer, Preview, read_preview

__all__ = ["Answer", "Preview", "read_preview", "render"]
