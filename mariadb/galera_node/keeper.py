"""The life of a node: find out its position, wait for a decision, run the server, and again, until told to stop."""

import subprocess
import threading
import time

from mariadb.galera_node import accounts, data
from mariadb.galera_node.election import Begin, Decision, Join, Phase, Report, Wait, ahead_in_turn, decide, stands_down
from mariadb.galera_node.log import log
from mariadb.galera_node.position import Position
from mariadb.galera_node.reports import Announcer, Watcher
from mariadb.galera_node.server import WITH_DATA, Server
from mariadb.galera_node.settings import FORCE, Settings

POLL_S = 0.1
LOST_S = 5.0  # after a cut has healed Galera finds together by itself in one to three seconds
STOP_S = 20.0  # a stop takes one or two seconds; below the stop_grace_period of 30 s
STOP_WHILE_JOINING_S = 5.0  # a server that is told to stop in the middle of a state transfer may never end
TURN_S_MAX = 3.0  # coming in takes less than a second; one that fails at it must not keep the others out
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.5, 30.0
FAILURES_MAX = 3  # then the data is set aside: what the server cannot start from, the cluster has


class Keeper:
    def __init__(self, settings: Settings) -> None:
        self.stopping = threading.Event()
        self._settings = settings
        self._address = settings.address
        self._server = Server(settings, self._address)
        self._report = Report(settings.node, Phase.RECOVERING)
        self._watchers = [Watcher(node, settings.addresses[node]) for node in settings.peers]
        self._announcer = Announcer(lambda: self._report)
        self._failures = 0

    def run(self) -> None:
        FORCE.unlink(missing_ok=True)
        for thread in (self._announcer, *self._watchers):
            thread.start()
        while not self.stopping.is_set():
            self._back_off()
            try:
                position = self._locate()
            except ValueError as error:
                self._cannot_read(error)
                continue
            decision = self._decision()
            if not isinstance(decision, Wait):
                self._serve(decision, position)

    # ---- before the server runs

    def _locate(self) -> Position | None:
        self._say(Phase.RECOVERING)
        if data.ensure():
            self._log("galera.data_made")
        position = data.locate()
        self._say(Phase.WAITING, position)
        self._log("galera.position", position=position, born=self._report.born)
        return position

    def _cannot_read(self, error: ValueError) -> None:
        """It may be what goes furthest: the node stays RECOVERING, so that no cluster is begun without it."""
        self._failures += 1
        self._log("galera.recovery_failed", level="error", reason=error, failures=self._failures)
        if self._failures >= FAILURES_MAX and isinstance(decide(self._report, self._peers()), Join):
            self._set_aside()

    def _set_aside(self) -> None:
        self._log("galera.data_set_aside", level="error", failures=self._failures)
        data.set_aside()
        data.ensure()

    def _decision(self) -> Decision:
        """A decision to act; Wait when the node is told to stop first."""
        reason = ""
        while True:
            decision = decide(self._report, self._peers(), forced=FORCE.exists())
            if not isinstance(decision, Wait):
                FORCE.unlink(missing_ok=True)
                return decision
            if decision.reason != reason:
                reason = decision.reason
                self._log("galera.waiting", reason=reason)
            if self.stopping.wait(POLL_S):
                return decision

    def _back_off(self) -> None:
        if self._failures:
            pause_s = min(BACKOFF_MIN_S * 2 ** (self._failures - 1), BACKOFF_MAX_S)
            self._log("galera.backing_off", level="warning", failures=self._failures, pause_s=pause_s)
            self.stopping.wait(pause_s)

    # ---- while it runs

    def _serve(self, decision: Begin | Join, position: Position | None) -> None:
        if isinstance(decision, Begin):
            self._log("galera.begin", position=position, reason=decision.reason)
            data.allow_to_begin(position)
            self._say(Phase.STARTING, position)
            self._server.start(position, self._addresses(), begin=True)
        else:
            self._wait_for_turn()
            position = self._position_for(decision, position)
            self._log("galera.join", position=position, through=decision.through)
            self._say(Phase.STARTING, position)
            # Without any address Galera would begin a cluster.
            self._server.start(position, self._addresses() or [decision.through], begin=False)
        had_data = self._watch()
        code = self._server.stop(STOP_S if had_data else STOP_WHILE_JOINING_S)
        self._failures = 0 if had_data else self._failures + 1
        level = "info" if self.stopping.is_set() else "error"
        self._log("galera.server_ended", level=level, code=code, failures=self._failures)

    def _wait_for_turn(self) -> None:
        until = time.monotonic() + TURN_S_MAX
        while ahead_in_turn(self._settings.node, self._peers()) and time.monotonic() < until:
            if self.stopping.wait(POLL_S):
                return

    def _position_for(self, decision: Join, position: Position | None) -> Position | None:
        if position and self._failures >= FAILURES_MAX:
            self._set_aside()
            position = None
        if position and position.history != decision.history:
            self._log("galera.other_history", level="warning", position=position, history=decision.history)
            position = None
        data.prepare_to_join(position)
        return position

    def _watch(self) -> bool:
        """Until the server ends or must end. Whether it ever belonged to the cluster with its data."""
        had_data = accounts_done = False
        lost_since: float | None = None
        while self._server.exit_code() is None and not self.stopping.wait(POLL_S):
            status, primary, history = self._server.view()
            if primary and status in WITH_DATA:
                self._say(Phase.PRIMARY, Position(history, -1))
                if not had_data:
                    data.lives()
                had_data, lost_since = True, None
                if status == "synced" and not accounts_done:
                    self._log("galera.synced")
                    accounts_done = self._ensure_accounts()
            elif primary:
                self._say(Phase.JOINING)
            elif had_data:
                if self._report.phase is not Phase.LOST:
                    self._log("galera.lost", level="warning", status=status)
                self._say(Phase.LOST)
                lost_since = (lost_since or time.monotonic()) if stands_down(self._report, self._peers()) else None
                if lost_since and time.monotonic() - lost_since > LOST_S:
                    self._log("galera.standing_down", level="warning")
                    break
        return had_data

    def _ensure_accounts(self) -> bool:
        try:
            changed = accounts.ensure(self._settings, self._address)
        except (subprocess.SubprocessError, OSError) as error:
            detail = getattr(error, "stderr", None) or error
            self._log("galera.accounts_failed", level="warning", reason=detail)
            return False
        if changed:
            self._log("galera.accounts", changed=", ".join(changed))
        return True

    # ---- words

    def _peers(self) -> dict[str, Report | None]:
        heard = {watcher.node: watcher.latest() for watcher in self._watchers}
        return {node: words.report if words else None for node, words in heard.items()}

    def _addresses(self) -> list[str]:
        """Of the nodes that are there: Galera would look up the name of one that is away for ten seconds."""
        return [words.address for watcher in self._watchers if (words := watcher.latest())]

    def _say(self, phase: Phase, position: Position | None = None) -> None:
        born = phase is Phase.WAITING and position is None and data.born()
        self._report = Report(self._settings.node, phase, position, born, data.component())

    def _log(self, action: str, *, level: str = "info", **fields: object) -> None:
        log(self._settings.node, action, level=level, **fields)
