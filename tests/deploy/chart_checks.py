"""Rules for everything that the chart renders. Each check returns complaints; an empty list means that it passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.deploy.chart import Object, containers, environment, named, of_kind, pods, title
from tests.deploy.schemas import schema_complaints

MOVING_TAGS = {"latest", "main", "master", "edge", "nightly", "stable"}


def is_pinned(image: str) -> bool:
    """Whether an image reference is fixed: a digest, or a tag that does not move."""
    if re.search(r"@sha256:[0-9a-f]{64}$", image):
        return True
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return bool(colon and tag) and tag not in MOVING_TAGS


def image_complaints(objects: list[Object]) -> list[str]:
    """Images that are not pinned."""
    return [
        f"{name}: image {container['image']} is not pinned"
        for name, container in containers(objects)
        if not is_pinned(container["image"])
    ]


def privilege_complaints(objects: list[Object]) -> list[str]:
    """Violations of the Pod Security Standard `restricted`, and writable root file systems."""
    complaints = []
    for name, _, pod in pods(objects):
        context = pod.get("securityContext", {})
        for key, wanted in {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}.items():
            if context.get(key) != wanted:
                complaints.append(f"{name}: {key} is {context.get(key)}")
        ids = {key: context.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")}
        # All three are absent where the platform assigns them, as OpenShift does.
        if set(ids.values()) != {None}:
            complaints += [f"{name}: {key} is {value}" for key, value in ids.items() if not value]
        if pod.get("automountServiceAccountToken") is not False:
            complaints.append(f"{name}: it gets a token of the cluster")
        complaints += [f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
        complaints += [f"{name}: a hostPath volume" for volume in pod.get("volumes", []) if "hostPath" in volume]
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True}
    for name, container in containers(objects):
        context = container.get("securityContext", {})
        complaints += [
            f"{name}: {key} is {context.get(key)}" for key, value in wanted.items() if context.get(key) != value
        ]
        if context.get("runAsUser") == 0 or context.get("privileged"):
            complaints.append(f"{name}: it runs as root or privileged")
        if context.get("capabilities") != {"drop": ["ALL"]}:
            complaints.append(f"{name}: capabilities are {context.get('capabilities')}")
        if not container.get("resources", {}).get("limits", {}).get("memory"):
            complaints.append(f"{name}: its memory has no limit")
    return complaints


def probe_complaints(objects: list[Object]) -> list[str]:
    """Servers without probes, or with probes of ports that they do not have."""
    complaints = []
    for name, container in containers(objects):
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe") if ports else ():
            asked = container.get(probe, {}).get("httpGet")
            if asked is None:
                complaints.append(f"{name}: no {probe}")
            elif asked["port"] not in ports:
                complaints.append(f"{name}: {probe} asks port {asked['port']}")
    return complaints


def file_complaints(objects: list[Object]) -> list[str]:
    """Files of certificates and keys in the settings that nothing mounts."""
    complaints = []
    for name, container in containers(objects):
        folders = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        files = {key: str(path) for key, path in environment(container).items() if key.endswith("_FILE")}
        complaints += [
            f"{name}: nothing is mounted at {path}, which {key} names"
            for key, path in files.items()
            if not any(path.startswith(f"{folder}/") for folder in folders)
        ]
    return complaints


def write_complaints(objects: list[Object]) -> list[str]:
    """Folders that a program writes to on the read-only root file system; missing volumes."""
    complaints = []
    for name, _, pod in pods(objects):
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
            complaints += [f"{name}: no volume {volume}" for volume in mounts.values() if volume not in volumes]
            values = environment(container)
            for key in ("HOME", "MODERATION_STATE_FOLDER"):
                if values.get(key) and values[key] not in mounts:
                    complaints.append(f"{name}: {key} is {values[key]}, which cannot be written")
    return complaints


def secret_complaints(objects: list[Object]) -> list[str]:
    """Secrets that the chart contains itself."""
    complaints = [f"{title(each)} is created by the chart" for each in of_kind(objects, "Secret")]
    for name, container in containers(objects):
        for key, value in environment(container).items():
            if (
                re.search(r"DATABASE_URL|(CERTIFICATE|SIGNING|EXPLORATION)_KEY|USERNAME|PASSWORD|TOKEN", key)
                and value is not None
            ):
                complaints.append(f"{name}: {key} has a value instead of a secret's name")
    return complaints


def _selects(selector: Object, labels: Object) -> bool:
    return bool(selector.get("matchLabels", selector).items() <= labels.items())


def selector_complaints(objects: list[Object]) -> list[str]:
    """Selectors that select nothing, or not their own pods; names that belong to no object."""
    labels = [each for _, each, _ in pods(objects)]
    complaints = []
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Deployment" and not _selects(spec["selector"], spec["template"]["metadata"]["labels"]):
            complaints.append(f"{title(each)} does not select its own pods")
        selector = spec.get("podSelector") or (spec.get("selector") if each["kind"] != "ServiceMonitor" else None)
        if selector and not any(_selects(selector, one) for one in labels):
            complaints.append(f"{title(each)} selects no pod")
        if each["kind"] == "ServiceMonitor":
            services = [s for s in of_kind(objects, "Service") if _selects(spec["selector"], s["metadata"]["labels"])]
            ports = {port["name"] for service in services for port in service["spec"]["ports"]}
            complaints += [
                f"{title(each)} finds no port {e['port']}" for e in spec["endpoints"] if e["port"] not in ports
            ]
        if each["kind"] == "ScaledObject":
            targets = {each["metadata"]["name"] for each in of_kind(objects, spec["scaleTargetRef"]["kind"])}
            if spec["scaleTargetRef"]["name"] not in targets:
                complaints.append(f"{title(each)} scales nothing")
            logins = {login["metadata"]["name"] for login in of_kind(objects, "TriggerAuthentication")}
            references = [
                trigger["authenticationRef"] for trigger in spec["triggers"] if "authenticationRef" in trigger
            ]
            complaints += [
                f"{title(each)} has no login {reference['name']}"
                for reference in references
                if reference["kind"] == "TriggerAuthentication" and reference["name"] not in logins
            ]
    accounts = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    return complaints + [
        f"{name}: no such account" for name, _, pod in pods(objects) if pod["serviceAccountName"] not in accounts
    ]


_ALL_PORTS = 0


def _egress_ports(policies: list[Object]) -> set[int]:
    rules = [rule for policy in policies for rule in policy["spec"].get("egress", [])]
    return {port["port"] for rule in rules for port in rule.get("ports", [{"port": _ALL_PORTS}])}


def needed_ports(container: Object, database_port: int) -> set[int]:
    """Ports of the servers in a container's settings, without name servers."""
    values = environment(container)
    ports: set[int] = set()
    if "MODERATION_DATABASE_URL" in values:
        ports.add(database_port)
    if brokers := values.get("MODERATION_KAFKA_BOOTSTRAP"):
        ports |= {int(address.rpartition(":")[2]) for address in brokers.split(",")}
    for url in (values.get("MODERATION_MLFLOW_URL"), values.get("MODERATION_KAFKA_OAUTH_ENDPOINT")):
        if url:
            parts = urlsplit(url)
            ports.add(parts.port or {"http": 80, "https": 443}[parts.scheme])
    return ports


def network_complaints(
    objects: list[Object], database_port: int, dns_ports: frozenset[int] = frozenset({53})
) -> list[str]:
    """Pods with more or fewer rights than they need."""
    policies = of_kind(objects, "NetworkPolicy")
    if not policies:
        return ["there is no network policy"]
    complaints = []
    for name, labels, pod in pods(objects):
        own = [policy for policy in policies if _selects(policy["spec"]["podSelector"], labels)]
        if not any(policy["spec"]["policyTypes"] == ["Ingress", "Egress"] for policy in own):
            complaints.append(f"{name}: no policy denies its traffic")
        for container in pod["containers"]:
            needed = needed_ports(container, database_port) | dns_ports
            needed |= {int(port) for port in re.findall(r"^http://[^/]+:(\d+)$", "\n".join(container["command"]), re.M)}
            if (opened := _egress_ports(own)) != needed:
                complaints.append(f"{name}: egress is open to ports {sorted(opened)}, not to {sorted(needed)}")
        ingress = [rule for policy in own for rule in policy["spec"].get("ingress", [])]
        complaints += [f"{name}: ingress is open to all" for rule in ingress if not rule.get("from")]
        allowed = {port["port"] for rule in ingress for port in rule["ports"]}
        served = {port["containerPort"] for container in pod["containers"] for port in container.get("ports", [])}
        if not allowed <= served:
            complaints.append(f"{name}: port {sorted(allowed - served)} is open and serves nothing")
    hooked = {title(each) for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})}
    deny = named(objects, "NetworkPolicy", "-default-deny")
    if title(deny) in hooked or "ingress" in deny["spec"] or "egress" in deny["spec"]:
        complaints.append(f"{title(deny)}: it allows traffic, or is not permanent")
    return complaints


def hook_complaints(objects: list[Object]) -> list[str]:
    """Jobs before an installation whose account and network policy come too late, or never."""
    complaints = []
    for job in of_kind(objects, "Job"):
        annotations = job["metadata"]["annotations"]
        for kind, name in (
            ("ServiceAccount", job["spec"]["template"]["spec"]["serviceAccountName"]),
            ("NetworkPolicy", job["metadata"]["name"]),
        ):
            for needed in of_kind(objects, kind):
                if needed["metadata"]["name"] != name:
                    continue
                theirs = needed["metadata"]["annotations"]
                earlier = int(theirs["helm.sh/hook-weight"]) < int(annotations["helm.sh/hook-weight"])
                events = [set(each["helm.sh/hook"].split(",")) for each in (annotations, theirs)]
                if not events[0] <= events[1] or not earlier:
                    complaints.append(f"{title(needed)} does not come before {title(job)}")
    return complaints


GENERAL: dict[str, Callable[[list[Object]], list[str]]] = {
    "schema": schema_complaints,
    "image": image_complaints,
    "privilege": privilege_complaints,
    "probe": probe_complaints,
    "file": file_complaints,
    "write": write_complaints,
    "secret": secret_complaints,
    "selector": selector_complaints,
    "hook": hook_complaints,
}
