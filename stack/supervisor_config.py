"""The supervisor's configuration: what its one file says about each program, and where it is spoken to."""

import hashlib
import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stack import account
from stack.errors import StackError
from stack.places import Places
from stack.programs import Program

SOCKET_PATH_BYTES_MAX = 99  # a unix socket's path has 107 at most, and supervisord binds to a longer one first
MARK = "TICKETFLOW_STACK"  # in the environment of every process of a stack: the run folder it belongs to


def socket_path(run: Path) -> Path:
    """Below the run folder, or, when that path is too long for a socket, in a private folder with a short one."""
    inside = run / "supervisor.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES_MAX:
        return inside
    name = hashlib.sha256(os.fsencode(run)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"ticketflow-{os.geteuid()}-{name}" / "supervisor.sock"


def render(places: Places, socket: Path, programs: Sequence[Program]) -> str:
    sections = [
        "[unix_http_server]",
        f"file={_text(socket)}",
        "chmod=0700",
        "",
        "[supervisord]",
        f"logfile={_text(places.logs / 'supervisord.log')}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={_text(places.run / 'supervisord.pid')}",
        f"childlogdir={_text(places.logs)}",
        f"directory={_text(places.run)}",
        "umask=077",
        *(["user=root"] if account.is_root() else []),  # said, because it warns when root is not meant
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "",
    ]
    for program in programs:
        environment = {**program.environment, MARK: str(places.run)}
        sections += [
            f"[program:{program.name}]",
            f"command={_text(shlex.join(program.command))}",
            "environment=" + ",".join(f'{name}="{_text(value)}"' for name, value in environment.items()),
            f"directory={_text(program.directory)}",
            f"priority={program.priority}",
            *([f"user={program.user}"] if program.user else []),
            # `up` starts them in order; after that a process that ends is started again, however often it ends.
            "autostart=false",
            "autorestart=true",
            "startsecs=1",
            "startretries=1000",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_timeout_s}",
            "killasgroup=true",
            # Relative to the run folder, where it runs: a percent sign in this one setting is beyond quoting.
            f"stdout_logfile={places.logs.relative_to(places.run)}/{program.name}.log",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
            "redirect_stderr=true",
            "",
        ]
    return "\n".join(sections)


def _text(value: object) -> str:
    """A value in the configuration: a percent sign would begin an expansion. Raises StackError."""
    text = str(value)
    for beyond_quoting in ('"', "\n", " ;", " #"):
        if beyond_quoting in text:
            raise StackError(f"{beyond_quoting!r} may not stand in {text!r}: use a folder with another name")
    return text.replace("%", "%%")
