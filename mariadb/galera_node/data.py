"""The data folder: made, looked at, and set aside. Nothing is deleted except what was set aside before."""

import shutil
import subprocess

from mariadb.galera_node import position
from mariadb.galera_node.position import Position
from mariadb.galera_node.settings import CONFIG, DATA, EMPTY, HOME, RUN

RECOVER_TIMEOUT_S = 120  # InnoDB replays 128 MB of log at most; this is for a machine in trouble
SAVED_STATE = DATA / "grastate.dat"
COMPONENT = HOME / "component"  # beside the data, which a state transfer replaces; view.sh writes it
BORN = DATA / "born"  # there until the data is that of a cluster, or about to be overwritten with it
LEFTOVERS = ("gvwstate.dat", "sst_in_progress", "wsrep_sst.pid", "rsync_sst.pid", "rsync_sst.conf")


def ensure() -> bool:
    """Whether the folder had to be made. A killed copy leaves no half folder."""
    if DATA.exists():
        return False
    unfinished = HOME / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(EMPTY, unfinished)
    unfinished.chmod(0o750)
    (unfinished / BORN.name).touch()
    unfinished.rename(DATA)
    return True


def locate() -> Position | None:
    """How far the data goes; None when that cannot be said. After a crash InnoDB is asked: half a second.

    Raises ValueError when the server cannot open its own data.
    """
    for name in LEFTOVERS:
        (DATA / name).unlink(missing_ok=True)
    saved = position.parse_saved_state(SAVED_STATE.read_text() if SAVED_STATE.exists() else "")
    if saved.clean():
        return Position(saved.history, saved.seqno)
    if saved.void():
        return None
    return position.after_crash(saved, _recover())


def born() -> bool:
    """Whether the data is as it was made. Only of interest when ``locate`` found nothing."""
    return BORN.exists()


def component() -> frozenset[str]:
    """The members of the last primary component with this node in it; empty when that is not known."""
    names = COMPONENT.read_text().strip() if COMPONENT.exists() else ""
    return frozenset(names.split(",")) if names else frozenset()


def lives() -> None:
    """The data is that of a cluster from now on."""
    BORN.unlink(missing_ok=True)


def _recover() -> Position | None:
    log = RUN / "recover.log"
    log.unlink(missing_ok=True)
    command = ["mariadbd", f"--defaults-file={CONFIG}", "--wsrep-recover", f"--log-error={log}", "--skip-networking"]
    command.append("--wsrep-cluster-address=gcomm://nobody")  # it insists on one, and connects to none
    try:
        done = subprocess.run(command, check=False, timeout=RECOVER_TIMEOUT_S, capture_output=True)  # noqa: S603 - fixed
    except subprocess.TimeoutExpired as error:
        raise ValueError("the recovery did not end in time") from error
    said = done.stderr.decode(errors="replace") + (log.read_text(errors="replace") if log.exists() else "")
    return position.parse_recovered(said)


def allow_to_begin(at: Position | None) -> None:
    """Galera begins only with data that it was told to be the latest. Without a position it makes a new history."""
    if at:
        _save_state(position.format_saved_state(at, may_begin=True))


def prepare_to_join(at: Position | None) -> None:
    """Takes back the leave to begin. Without a position the server will ask another node for the whole data."""
    lives()
    _save_state(position.format_saved_state(at))


def _save_state(text: str) -> None:
    unfinished = SAVED_STATE.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.rename(SAVED_STATE)


def set_aside() -> None:
    """Keeps data that no server can start from, or no cluster takes, for a person to look at."""
    aside = HOME / "data.aside"
    shutil.rmtree(aside, ignore_errors=True)
    DATA.rename(aside)
    COMPONENT.unlink(missing_ok=True)
