"""What of the project is in the image of the services, of which the auditor is one."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_package_of_the_project_is_let_into_the_image() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(packages) <= let_in
