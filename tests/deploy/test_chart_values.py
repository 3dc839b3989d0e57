"""Wrong values of the chart are refused with a message that names them."""

from __future__ import annotations

import helm_python
import pytest

from tests.deploy.chart import CHART, Object, containers, merged, render
from tests.deploy.test_chart import MINIMAL

REFUSED: dict[str, tuple[Object, str]] = {
    "an unknown value": ({"worker": {"replica": 2}}, "additional properties 'replica' not allowed"),
    "an unknown value at the top": ({"workers": {}}, "additional properties 'workers' not allowed"),
    "an unknown setting": ({"settings": {"batch_records": 1}}, "additional properties 'batch_records' not allowed"),
    "a setting that another value stands for": ({"settings": {"metrics_port": 1}}, "'metrics_port' not allowed"),
    "a setting out of range": ({"settings": {"batch_most_records": 0}}, "/settings/batch_most_records"),
    "no broker": ({"kafka": {"bootstrap": ""}}, "/kafka/bootstrap"),
    "a broker without a port": ({"kafka": {"bootstrap": "kafka"}}, "/kafka/bootstrap"),
    "no secret of the database": ({"database": {"existingSecret": ""}}, "/database/existingSecret"),
    "no token of the HTTP API": ({"httpToken": {"existingSecret": ""}}, "/httpToken/existingSecret"),
    "a secret's value": ({"database": {"url": "postgresql://x"}}, "additional properties 'url' not allowed"),
    "a password in the registry's address": ({"mlflow": {"url": "http://a:b@mlflow"}}, "/mlflow/url"),
    "a tag that moves": ({"image": {"tag": "latest"}}, "/image/tag"),
    "a tag in the repository": ({"image": {"repository": "registry:5000/worker:latest"}}, "/image/repository"),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    "more workers than partitions": ({"worker": {"replicas": 5}}, "comments has 4 partitions"),
    "more workers than partitions, by lag": (
        {"worker": {"autoscaling": {"enabled": True, "maxReplicas": 5}}},
        "worker.autoscaling.maxReplicas is 5, but comments has 4 partitions",
    ),
    "fewer at most than at least": (
        {"worker": {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 2}}},
        "minReplicas is 3, but at most 2",
    ),
    "no worker at all": ({"worker": {"autoscaling": {"enabled": True, "minReplicas": 0}}}, "minReplicas"),
    "a budget that forbids every move": ({"worker": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "maxUnavailable"),
    "no name servers": ({"networkPolicy": {"dns": []}}, "/networkPolicy/dns"),
    "root": ({"podSecurityContext": {"runAsUser": 0}}, "/podSecurityContext/runAsUser"),
    "pods that may run as root": ({"podSecurityContext": {"runAsNonRoot": False}}, "/podSecurityContext/runAsNonRoot"),
    "no seccomp profile": ({"podSecurityContext": {"seccompProfile": None}}, "seccompProfile"),
    "a capability": ({"containerSecurityContext": {"capabilities": {"drop": []}}}, "/containerSecurityContext"),
    "a variable that the chart sets": (
        {"extraEnv": [{"name": "MODERATION_DATABASE_URL", "value": "postgresql://x"}]},
        "/extraEnv/0/name",
    ),
    "a variable that is among the settings": (
        {
            "settings": {"log_level": "debug"},
            "worker": {"extraEnv": [{"name": "MODERATION_LOG_LEVEL", "value": "debug"}]},
        },
        "extraEnv of worker names MODERATION_LOG_LEVEL, which is among the values of settings",
    ),
    "a variable that is among the settings of the connection to Kafka": (
        {
            "kafka": {"connection": {"security_protocol": "ssl"}},
            "source": {"enabled": True, "extraEnv": [{"name": "MODERATION_KAFKA_SECURITY_PROTOCOL", "value": "ssl"}]},
        },
        "extraEnv of source names MODERATION_KAFKA_SECURITY_PROTOCOL, which is among the values of kafka.connection",
    ),
    "a variable given twice": (
        {"extraEnv": [{"name": "A", "value": "1"}], "hooks": {"extraEnv": [{"name": "A", "value": "2"}]}},
        "extraEnv of hooks names A twice",
    ),
    "a variable without a value": ({"extraEnv": [{"name": "A"}]}, "/extraEnv/0"),
    "a folder of the node": (
        {"extraVolumes": [{"name": "node", "hostPath": {"path": "/"}}]},
        "additional properties 'hostPath' not allowed",
    ),
    "a volume of the chart's own name": ({"extraVolumes": [{"name": "state", "emptyDir": {}}]}, "/extraVolumes/0/name"),
    "a login of KEDA without credentials": (
        {"worker": {"autoscaling": {"enabled": True, "authentication": {"sasl": "plaintext"}}}},
        "sasl is plaintext, which needs credentials",
    ),
    "a login of KEDA without keys": (
        {"worker": {"autoscaling": {"enabled": True, "authentication": {"existingSecret": "keda"}}}},
        "existingSecret has no keys",
    ),
    "a login of KEDA that the brokers do not accept": (
        {
            "kafka": {"connection": {"security_protocol": "sasl_plaintext", "sasl_mechanism": "PLAIN"}},
            "worker": {"autoscaling": {"enabled": True}},
        },
        "sasl is none, but kafka.connection.security_protocol is sasl_plaintext",
    ),
    "KEDA without TLS": (
        {
            "kafka": {"connection": {"security_protocol": "ssl"}},
            "worker": {"autoscaling": {"enabled": True}},
        },
        "tls is false, but kafka.connection.security_protocol is ssl",
    ),
    "two logins of KEDA": (
        {"worker": {"autoscaling": {"enabled": True, "authentication": {"existingSecret": "a", "existing": "b"}}}},
        "has both existing and existingSecret",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_values_are_refused_by_name(name: str) -> None:
    values, cause = REFUSED[name]
    with pytest.raises(helm_python.HelmError) as refused:
        render(merged(MINIMAL, values))
    assert cause in str(refused.value)


def test_required_values_have_no_default() -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        render({})
    for path in (
        "/kafka/bootstrap",
        "/database/existingSecret",
        "/certificate/existingSecret",
        "/certificate/verifyKeys",
        "/httpToken/existingSecret",
        "/mlflow/url",
    ):
        assert path in str(refused.value)


def test_extra_variables_cannot_replace_those_of_the_chart() -> None:
    with helm_python.Chart.load(CHART) as chart:
        schema = chart.schema
    assert schema is not None
    refused = set(schema["definitions"]["env"]["items"]["properties"]["name"]["not"]["enum"])
    minimal = render(merged(MINIMAL, {"exploration": {"existingSecret": "x"}, "mlflow": {"existingSecret": "x"}}))
    own = {each["name"] for name, container in containers(minimal) for each in container.get("env", [])}
    assert refused == own
