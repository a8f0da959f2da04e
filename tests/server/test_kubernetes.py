"""The manifests of deploy/kubernetes: Kubernetes knows their fields, and they fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from seehear.config import Settings
from tests.server.test_deploy import DEPLOY, options_of

pytestmark = pytest.mark.parametrize("overlay", ["base", "milvus"])

Manifests = Mapping[str, dict[str, Any]]
"""By kind, and by name in a kind."""


def made(overlay: str) -> Manifests:
    """What kustomize makes of a folder, as far as ours need it."""
    yaml = pytest.importorskip("yaml")
    folder: Path = DEPLOY / "kubernetes" / overlay
    wish = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert wish["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    found: dict[str, dict[str, Any]] = {}
    for resource in wish["resources"]:
        if (folder / resource).is_dir():
            for kind, named in made(f"{overlay}/{resource}").items():
                found.setdefault(kind, {}).update(named)
            continue
        for one in yaml.safe_load_all((folder / resource).read_text()):
            named = found.setdefault(one["kind"], {})
            assert one["metadata"]["name"] not in named
            named[one["metadata"]["name"]] = one
    for patch in wish.get("patches", []):
        one = yaml.safe_load(patch["patch"])
        found[one["kind"]][one["metadata"]["name"]]["data"] |= one["data"]
    return found


def templates_of(manifests: Manifests) -> dict[str, Any]:
    """What pods are made of, by what makes them."""
    sets = manifests["Deployment"] | manifests["StatefulSet"]
    jobs = {name: job["spec"]["jobTemplate"] for name, job in manifests["CronJob"].items()}
    return {name: one["spec"]["template"] for name, one in (sets | jobs).items()}


def test_kubernetes_knows_every_field(overlay: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for named in made(overlay).values():
        for manifest in named.values():
            validate.validate(manifest, "1.31", strict=True)


def test_services_lead_to_ports_that_there_are(overlay: str) -> None:
    manifests = made(overlay)
    templates = templates_of(manifests)
    for service in manifests["Service"].values():
        wanted = service["spec"]["selector"].items()
        (pod,) = [
            template["spec"]
            for template in templates.values()
            if wanted <= template["metadata"]["labels"].items()
        ]
        ports = {port["name"] for port in pod["containers"][0]["ports"]}
        assert {port.get("targetPort", port["name"]) for port in service["spec"]["ports"]} <= ports


def test_what_is_mounted_is_there(overlay: str) -> None:
    manifests = made(overlay)
    for name, template in templates_of(manifests).items():
        pod = template["spec"]
        (container,) = pod["containers"]
        claims = manifests["StatefulSet"].get(name, {"spec": {}})["spec"]
        there = {volume["name"] for volume in pod.get("volumes", [])}
        there |= {claim["metadata"]["name"] for claim in claims.get("volumeClaimTemplates", [])}
        assert {mount["name"] for mount in container["volumeMounts"]} == there, name


def test_our_containers_are_confined_and_others_have_a_version(overlay: str) -> None:
    for template in templates_of(made(overlay)).values():
        (container,) = template["spec"]["containers"]
        if container["image"] != "seehear":
            assert ":" in container["image"]
            continue
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_command_lines_and_settings_are_ours_and_name_services(overlay: str) -> None:
    manifests = made(overlay)
    services, templates = manifests["Service"], templates_of(manifests)
    given = manifests["ConfigMap"]["seehear"]["data"]
    settings = Settings(database=given["SEEHEAR_DATABASE"], vectors=given["SEEHEAR_VECTORS"])
    named = [urlsplit(settings.database or ""), urlsplit(settings.vectors)]
    serves, index = (
        options_of(templates[name]["spec"]["containers"][0]["args"])
        for name in ("seehear", "index")
    )
    named.append(urlsplit(index["on"]))
    assert serves["behind_proxy"]
    assert serves["create"]
    for address in named:
        if address.scheme in {"postgresql", "milvus", "ray"}:
            ports = {port["port"] for port in services[address.hostname or ""]["spec"]["ports"]}
            assert (address.port or 5432) in ports
