"""Two machines: network namespaces of this one, joined by a cable of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

INTERFACE = "cable"


def missing() -> str:
    """What keeps this machine from standing for two, or nothing."""
    if not shutil.which("ip"):
        return "apt-get install iproute2: ip missing"
    name = f"rloss-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no right to make network namespaces (root has it): {made.stderr.strip()}"
    ip("netns", "delete", name)
    return ""


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Machine:
    """A network namespace with an address, in which commands run."""

    def __init__(self, number: int) -> None:
        self.name = f"rloss-{os.getpid()}-{number}"
        self.address = f"10.77.0.{number + 1}"
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def start(self, command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen:
        """Run a command in the background."""
        with log.open("w") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """Kill all that runs there."""
        for process in ip("netns", "pids", self.name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)

    def remove(self) -> None:
        self.kill()
        ip("netns", "delete", self.name)


@contextlib.contextmanager
def two_machines() -> Iterator[list[Machine]]:
    with contextlib.ExitStack() as stack:
        machines = []
        for number in range(2):
            machines.append(Machine(number))
            stack.callback(machines[-1].remove)
        one, other = (machine.name for machine in machines)
        ip(
            "link",
            "add",
            INTERFACE,
            "netns",
            one,
            "type",
            "veth",
            "peer",
            INTERFACE,
            "netns",
            other,
        )
        for machine in machines:
            ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", INTERFACE)
            ip("-n", machine.name, "link", "set", INTERFACE, "up")
        yield machines
