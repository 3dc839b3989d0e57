"""Alert rules on the model that serves: refused versions, the registry, overrides."""

from __future__ import annotations

from grafana.source import pipeline_health
from grafana.source.model import Alert, Prom

_HEALTH = pipeline_health.UID

# The first refusal creates the series, which increase() does not count.
REFUSED = Prom(
    "sum by (version) (moderation_model_refusals_total unless moderation_model_refusals_total offset 1h)"
    " or sum by (version) (increase(moderation_model_refusals_total[1h])) > 0"
)

REGISTRY = Prom('max by (state) (moderation_registry_state{state=~"no_alias|no_version|no_answer"})')
OVERRIDE = Prom("max(moderation_serving_override)")

MODEL_ALERTS = (
    Alert(
        uid="moderation-refused-model",
        title="A model version was refused",
        query=REFUSED,
        above=0,
        for_duration="0s",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="version {{ .Labels.version }} has the alias production and does not verify",
        runbook="The worker continues to serve the previous version. Its log names what failed: certificate, digest, "
        "types, golden rows or kernel version. Move the alias back to a version that verifies. Then find out who "
        "registered or changed this version: a digest that differs means that the file was altered.",
        panel=(_HEALTH, "Workers by serving version"),
    ),
    Alert(
        uid="moderation-registry-state",
        title="Workers cannot follow the alias production",
        query=REGISTRY,
        above=0,
        for_duration="10m",
        every="1m",
        no_data_state="OK",
        severity="warning",
        summary="the state of the registry is {{ .Labels.state }}",
        runbook="Comments are decided with the model that served last, but no new version can serve. no_alias: no "
        "version has the alias production, or the registered model was renamed or deleted. no_version: the version "
        "with the alias was deleted. no_answer: MLflow does not answer. Set the alias on a certified version, or start "
        "MLflow; workers recover by themselves.",
        panel=(_HEALTH, "Workers by serving version"),
    ),
    Alert(
        uid="moderation-override",
        title="A version serves by override",
        query=OVERRIDE,
        above=0,
        for_duration="0s",
        every="1m",
        no_data_state="OK",
        severity="warning",
        summary="a version without certificate serves by override ({{ .Values.A }}: 1 in effect, 2 ended)",
        runbook="Nobody has shown that this version is better than the last certified one. `moderation status` and "
        "`GET /model` of a worker name reason and end. Promote a certified version, then let the gate judge this one "
        "with `moderation gate`. At the end workers go back to the last certified version; the value 2 means that they "
        "can open none, and serve on.",
        panel=(_HEALTH, "Workers by serving version"),
    ),
)
