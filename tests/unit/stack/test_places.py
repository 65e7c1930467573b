"""Folders and secrets."""

from pathlib import Path

import pytest

from stack import account, places
from stack.errors import StackError
from stack.places import Places
from stack.secret_files import SecretFiles
from stack.supervision import Supervisor
from stack.supervisor_config import SOCKET_PATH_BYTES_MAX


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    secrets = SecretFiles(tmp_path / "secrets")
    made = secrets.get("admin-key")
    assert len(made) == 48
    assert SecretFiles(tmp_path / "secrets").get("admin-key") == made
    assert secrets.path("admin-key").stat().st_mode & 0o777 == 0o600
    assert secrets.folder.stat().st_mode & 0o777 == 0o700


def test_two_secrets_differ(tmp_path: Path) -> None:
    secrets = SecretFiles(tmp_path)
    assert secrets.get("one") != secrets.get("two")


def test_too_little_disk_is_said_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DISK_BYTES_MIN", 10**18)
    with pytest.raises(StackError, match=r"only \d+ MB are free below .*: make room for"):
        Places(tmp_path / "run").make()


def test_postgres_data_goes_where_its_user_can_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_ELSEWHERE", tmp_path / "elsewhere")
    monkeypatch.setattr(account, "stand_in_for_root", lambda _name: "postgres")
    monkeypatch.setattr(account, "can_reach", lambda _user, _folder: False)
    monkeypatch.setattr(account, "give", lambda _path, _user: None)
    chosen = Places(tmp_path / "run")
    said = chosen.make()
    assert said == f"Postgres runs as `postgres`, who cannot reach {chosen.run}: its data is in {chosen.postgres}"
    assert chosen.postgres == chosen.elsewhere / "postgres"
    assert chosen.make() is None, "said once"

    (chosen.postgres / "data").mkdir()
    chosen.remove()
    assert not chosen.run.exists()
    assert not chosen.elsewhere.exists()


def test_data_that_a_deleted_run_folder_left_behind_is_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_ELSEWHERE", tmp_path / "elsewhere")
    monkeypatch.setattr(account, "stand_in_for_root", lambda _name: "postgres")
    monkeypatch.setattr(account, "can_reach", lambda _user, _folder: False)
    monkeypatch.setattr(account, "give", lambda _path, _user: None)
    chosen = Places(tmp_path / "run")
    left = chosen.elsewhere / "postgres"
    (left / "data").mkdir(parents=True)
    chosen.make()
    assert list(chosen.postgres.iterdir()) == []
    assert [path.name for path in chosen.elsewhere.glob("postgres-before-*/*")] == ["data"]


def test_postgres_data_stays_in_the_run_folder_when_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "can_reach", lambda _user, _folder: True)
    chosen = Places(tmp_path / "run")
    assert chosen.make() is None
    assert chosen.postgres == chosen.run / "postgres"


def test_the_control_socket_moves_when_its_path_would_be_too_long(tmp_path: Path) -> None:
    near = Supervisor(Places(Path("/srv/ticketflow/.run")))
    assert near.socket == Path("/srv/ticketflow/.run/supervisor.sock")
    far = Supervisor(Places(tmp_path / ("long" * 30)))
    assert len(str(far.socket)) <= SOCKET_PATH_BYTES_MAX
    assert far.socket != Supervisor(Places(tmp_path / ("long" * 31))).socket
