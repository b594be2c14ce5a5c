"""A real SLURM on this machine: a controller and two nodes, without systemd and cgroups.

Needs root and Debian's `slurm-wlm` and `munge`; disturbs no other SLURM, has ports, keys and
folders of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

__all__ = ["LocalSlurm"]

NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")

CONFIGURATION = """\
ClusterName=scenelift
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait=5
MinJobAge=600
GresTypes=gpu
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""
NODE = (
    "NodeName={name} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs=8 RealMemory=16000 "
    "Gres=gpu:2 State=UNKNOWN"
)


class LocalSlurm:
    """Starts and ends the daemons; runs SLURM's commands.

    Attributes:
        environment: what commands need to reach it.
    """

    def __init__(self) -> None:
        missing = [p for p in PROGRAMS if shutil.which(p) is None]
        if missing:
            raise RuntimeError(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
        if os.geteuid() != 0:
            raise RuntimeError("SLURM's daemons need root here")
        # In /tmp, because the munge user must be able to walk there.
        self._folder = Path(tempfile.mkdtemp(prefix="scenelift-slurm-", dir="/tmp"))
        self._folder.chmod(0o755)
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {"SLURM_CONF": str(self._folder / "slurm.conf")}

    def start(self) -> Self:
        """Raises:
        TimeoutError: it does not come up; the message has the end of its logs.
        """
        self._start_munge()
        ports = [_free_port() for _ in range(1 + len(NODES))]
        host = socket.gethostname().split(".")[0]
        nodes = [
            NODE.format(name=name, host=host, port=port)
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        text = CONFIGURATION.format(
            folder=self._folder,
            controller_port=ports[0],
            nodes="\n".join(nodes),
            names=",".join(NODES),
        )
        (self._folder / "slurm.conf").write_text(text)
        gres = [f"NodeName={n} Name=gpu Count=2 File=/dev/null,/dev/zero" for n in NODES]
        (self._folder / "gres.conf").write_text("\n".join(gres) + "\n")
        (self._folder / "controller").mkdir()
        self._daemon("slurmctld", "-D")
        for name in NODES:
            (self._folder / name).mkdir()
            self._daemon("slurmd", "-D", "-N", name)
        self.until(self._is_up, 30)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        subprocess.run(["scancel", "--user", "root"], env=self.environment, capture_output=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.command("squeue", "--noheader"):
            time.sleep(0.2)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def command(self, *words: str) -> str:
        """What a command of SLURM prints.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=30
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def tasks(self, *states: str) -> dict[str, str]:
        """Job or array task -> node of those in one of these states."""
        rows = self.command("squeue", "--noheader", "--array", "--format=%i %T %N").splitlines()
        split = [row.split() for row in rows]
        return {row[0]: "".join(row[2:]) for row in split if row[1] in states}

    def state(self, job: str) -> str:
        """Of a job that may have ended: COMPLETED, FAILED, CANCELLED, TIMEOUT, RUNNING…"""
        words = self.command("scontrol", "--oneliner", "show", "job", job).split()
        return next(w.removeprefix("JobState=") for w in words if w.startswith("JobState="))

    def set_node(self, node: str, state: str) -> None:
        """Set a node DRAIN, DOWN or RESUME."""
        self.command("scontrol", "update", f"nodename={node}", f"state={state}", "reason=test")

    def until(self, condition: Callable[[], object], seconds: float) -> None:
        """Raises:
        TimeoutError: it did not come true in that time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} s\n{self._logs()}")
            time.sleep(0.2)

    def _start_munge(self) -> None:
        """An authentication service of our own, under its own user as it insists."""
        folder = self._folder / "munge"
        folder.mkdir(mode=0o755)
        key = folder / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        for path in (folder, key):
            shutil.chown(path, "munge", "munge")
        ids = ["setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups"]
        names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={folder / name}" for option, name in names.items()]
        command = [*ids, "munged", "--foreground", f"--seed-file={folder / 'seed'}", *options]
        self._daemons.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        self.until((folder / "socket").exists, 10)

    def _daemon(self, *command: str) -> None:
        self._daemons.append(
            subprocess.Popen(
                command,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def _is_up(self) -> bool:
        try:
            states = self.command("sinfo", "--noheader", "--Node", "--format=%T").split()
        except RuntimeError:
            return False
        return states == ["idle"] * len(NODES)

    def _logs(self) -> str:
        ends = []
        for path in sorted(self._folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            ends.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(ends)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
