"""``python3 -m drills.nemesis.network apply|clear``: the network of one container, by the pid of any process in it.

    apply --pid N [--delay-ms ... --jitter-ms ... --loss ... --seed ...] < the table mangle, for iptables-restore
    clear --pid N [--pid M ...]
    idle                          ends every delayer, whatever has become of its container

The table mangle of a container's namespace is the nemesis' own, so that each call replaces it as a whole: applying is
atomic, and may be repeated. (Docker keeps its rules in the table nat; the services have none.)
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DELAYERS = Path("/run/nemesis")  # one file a network namespace: the pid of its delayer
DELAY_QUEUE = 1
EMPTY = "*mangle\nCOMMIT\n"
READY_S = 5.0
END_S = 2.0
# Debian's iptables speaks nf_tables; a kernel without those still has the old tables.
RESTORE = ("iptables-restore", "iptables-legacy-restore")


def main() -> int:
    parser = argparse.ArgumentParser(description="The network of one container.")
    parser.add_argument("what", choices=("apply", "clear", "idle"))
    parser.add_argument("--pid", type=int, action="append", default=[])
    for name in ("--delay-ms", "--jitter-ms", "--loss", "--seed"):
        parser.add_argument(name)
    options = parser.parse_args()
    DELAYERS.mkdir(exist_ok=True)
    try:
        if options.what == "idle":
            for file in DELAYERS.iterdir():
                _end_delayer(file)
        for pid in options.pid:
            namespace = _namespace(pid)
            if options.what == "clear":
                _restore(pid, EMPTY)
                _end_delayer(DELAYERS / namespace)
            else:
                _end_delayer(DELAYERS / namespace)
                wanted = [
                    word
                    for name in ("delay_ms", "jitter_ms", "loss", "seed")
                    if getattr(options, name) is not None
                    for word in (f"--{name.replace('_', '-')}", getattr(options, name))
                ]
                if wanted:
                    _start_delayer(pid, DELAYERS / namespace, wanted)
                _restore(pid, sys.stdin.read())
    except (OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _namespace(pid: int) -> str:
    """Its number. Raises OSError when there is no such process; never the namespace of the host."""
    own, its = os.readlink("/proc/self/ns/net"), os.readlink(f"/proc/{pid}/ns/net")
    if own == its:
        raise RuntimeError(f"process {pid} is in the host's network, which is not touched")
    return its.strip("net:[]")


def _inside(pid: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def _restore(pid: int, rules: str) -> None:
    said = ""
    for program in RESTORE:
        done = subprocess.run(
            [*_inside(pid), program, "--wait", "5"], input=rules, text=True, capture_output=True, check=False
        )
        if done.returncode == 0:
            return
        said = said or done.stderr.strip()
    raise RuntimeError(f"iptables-restore: {said}")


def _start_delayer(pid: int, file: Path, options: list[str]) -> None:
    """Returns when it holds packets: a rule that came before it would let them pass."""
    delayer = subprocess.Popen(
        [*_inside(pid), sys.executable, "-m", "drills.nemesis.delay", "--queue", str(DELAY_QUEUE), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # `docker exec` waits until nobody has its output open any more
        start_new_session=True,  # it stays when this process ends
        text=True,
    )
    assert delayer.stdout is not None
    if delayer.stdout.readline().strip() != "ready":
        raise RuntimeError(f"the delayer ended with {delayer.wait(READY_S)}")
    file.write_text(str(delayer.pid))


def _end_delayer(file: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = int(file.read_text())
        if b"drills.nemesis.delay" in Path(f"/proc/{pid}/cmdline").read_bytes():  # and not another of that pid
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + END_S
            while Path(f"/proc/{pid}/fd/0").exists() and time.monotonic() < deadline:  # a zombie has none
                time.sleep(0.01)
    file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
