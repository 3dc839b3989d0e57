"""Stand-ins have the names of the images that they replace."""

from __future__ import annotations

from local.containers.stand_ins import NAMES, image_name
from tests.conftest import ROOT
from tests.deploy.files import Files
from tests.deploy.image_checks import external_images


def test_every_image_of_another_project_has_a_stand_in_except_grafana() -> None:
    needed = {image for _, image in external_images(Files())}
    missing = needed - {image_name(name) for name in NAMES}
    assert {image.partition(":")[0] for image in missing} == {"grafana/grafana"}


def test_every_stand_in_has_a_containerfile() -> None:
    assert all((ROOT / "local" / "containers" / "images" / name / "Containerfile").is_file() for name in NAMES)
