"""The supervisor: started, asked and told.

supervisord starts, watches, restarts and logs every process. It runs as a daemon of its own, so that the stack stays up
when `make run` has ended. It is spoken to by XML-RPC over a unix socket, which is its own interface.
"""

import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from supervisor.xmlrpc import SupervisorTransport

from stack.errors import StackError
from stack.places import Places
from stack.programs import Program
from stack.supervisor_config import render, socket_path

START_S = 10

State = Literal["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN", "ABSENT"]


@dataclass(frozen=True)
class ProcessState:
    name: str
    state: State
    pid: int
    up_s: int
    said: str

    @property
    def running(self) -> bool:
        return self.state in ("RUNNING", "STARTING")


class Supervisor:
    """The supervisor of one run folder, whether it runs or not."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.config = places.run / "supervisord.conf"
        self.socket = socket_path(places.run)

    def _call(self, method: str, *arguments: object) -> Any:
        """A connection each call: the transport keeps a broken one for ever."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            return getattr(xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor, method)(
                *arguments
            )
        finally:
            transport.close()

    def is_up(self) -> bool:
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def write_config(self, programs: Sequence[Program]) -> None:
        fresh = self.config.with_suffix(".new")
        fresh.write_text(render(self.places, self.socket, programs))
        fresh.chmod(0o600)
        fresh.rename(self.config)

    def start(self) -> None:
        """Starts the daemon, with no program running yet. Raises StackError."""
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.config)],
            cwd=self.places.run,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            said = done.stdout.strip().splitlines() or ["it said nothing"]
            raise StackError(f"the supervisor did not start: {said[0]}")
        deadline = time.monotonic() + START_S
        while not self.is_up():
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor did not answer: see {self.places.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def reload(self) -> tuple[list[str], list[str], list[str]]:
        """Takes in the written configuration: the programs added, changed (and stopped), and removed."""
        added, changed, removed = self._call("reloadConfig")[0]
        self.stop_programs([*changed, *removed])
        for name in [*changed, *removed]:
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)
        return added, changed, removed

    def states(self) -> dict[str, ProcessState]:
        """Every program by its name; empty when the supervisor is not up."""
        try:
            infos = self._call("getAllProcessInfo")
        except (OSError, xmlrpc.client.Error):
            return {}
        return {
            info["name"]: ProcessState(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                up_s=info["now"] - info["start"] if info["pid"] else 0,
                said=info["spawnerr"] or info["description"],
            )
            for info in infos
        }

    def start_programs(self, names: Iterable[str]) -> None:
        """Starts those that do not run, and does not wait for them."""
        states = self.states()
        for name in names:
            if not states[name].running:
                self._call("startProcess", name, False)

    def stop_programs(self, names: Iterable[str], timeout_s: float = 40) -> None:
        """Sends each its stop signal at once, and waits until all are gone."""
        wanted = set(names)
        for name in wanted:
            try:
                self._call("stopProcess", name, False)
            except xmlrpc.client.Fault:  # it does not run
                continue
        deadline = time.monotonic() + timeout_s
        while left := [name for name, state in self.states().items() if name in wanted and state.pid]:
            if time.monotonic() > deadline:
                raise StackError(f"{', '.join(left)} did not stop within {timeout_s:.0f} s: see {self.places.logs}")
            time.sleep(0.05)

    def pid(self, name: str) -> int:
        """The process's id. Raises StackError when it does not run."""
        states = self.states()
        if not states:
            raise StackError("the stack is not running: `make run` starts it")
        if name not in states:
            raise StackError(f"there is no process `{name}`; there are: {', '.join(sorted(states))}")
        if not states[name].pid:
            raise StackError(f"`{name}` does not run")
        return states[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL; the process is started again at once. Its whole group: nginx's workers would keep the port."""
        _signal_group(self.pid(name), signal.SIGKILL)

    def kill_and_keep_down(self, name: str) -> None:
        """SIGKILL, and it stays down until it is started."""
        group = self.pid(name)
        _signal_group(group, signal.SIGSTOP)  # so that of the two signals that follow it can only meet the second
        self._call("stopProcess", name, False)
        _signal_group(group, signal.SIGKILL)
        self.stop_programs([name])

    def shutdown(self) -> None:
        """Ends the supervisor, which no longer has a process to watch."""
        daemon = int(self._call("getPID"))
        self._call("shutdown")
        deadline = time.monotonic() + START_S
        while alive(daemon):
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor (process {daemon}) did not end")
            time.sleep(0.05)


def _signal_group(pid: int, sign: signal.Signals) -> None:
    """Signals a process and its group; one that has ended meanwhile needs no signal."""
    try:
        os.killpg(pid, sign)
    except ProcessLookupError:  # gone, or so young that it has no group of its own yet
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def alive(pid: int) -> bool:
    """Whether the process is there. One that has ended, though nobody has asked how, is not: its files are closed.

    They are closed when its last thread has ended, which on a busy machine may be some time after the first.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            ended = file.read().rpartition(")")[2].split()[0] == "Z"
        return not ended or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False
