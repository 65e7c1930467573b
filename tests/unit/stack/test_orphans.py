"""Which processes belong to a run folder, when their supervisor can no longer say so."""

from pathlib import Path

import pytest

from stack import orphans

RUN = Path("/srv/ticketflow/.run")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(orphans, "PROC", tmp_path)
    return tmp_path


def process(proc: Path, pid: int, name: str, command: str, environment: str = "") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "comm").write_text(f"{name}\n")
    (folder / "cmdline").write_text(command)
    (folder / "environ").write_text(environment)


def test_a_process_is_known_by_the_mark_in_its_environment(proc: Path) -> None:
    process(proc, 11, "python", "python\0-m\0portal\0", "PATH=/bin\0TICKETFLOW_STACK=/srv/ticketflow/.run\0")
    process(proc, 12, "python", "python\0-m\0portal\0", "TICKETFLOW_STACK=/srv/ticketflow/.run2\0")
    process(proc, 13, "python", "python\0-m\0portal\0", "TICKETFLOW_RUN_DIR=/srv/ticketflow/.run\0")
    assert orphans.find(RUN) == {11: "python"}


def test_nginx_and_postgres_are_known_by_their_folders(proc: Path) -> None:
    process(proc, 21, "nginx", "nginx: master process nginx -p /srv/ticketflow/.run/nginx/ -c nginx.conf")
    process(proc, 22, "nginx", "nginx: master process nginx -p /srv/other/.run/nginx/ -c nginx.conf")
    process(proc, 23, "postgres", "postgres\0-D\0/srv/ticketflow/.run/postgres/data\0")
    process(proc, 24, "postgres", "postgres\0-D\0/var/lib/postgresql/15/main\0")
    process(proc, 25, "vim", "vim\0/srv/ticketflow/.run/postgres/data\0")
    assert orphans.find(RUN) == {21: "nginx", 23: "postgres"}
