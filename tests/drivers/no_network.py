"""Running a program that is killed when it, or a child, opens an internet socket.

    python -m tests.drivers.no_network python -m scenelift run …

The kernel does it (seccomp, without any privilege), so that compiled code is caught as well as
Python's. Names that CI systems set, and that some libraries take as a wish for privacy, are removed
from the environment.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Mapping

__all__ = ["KILLED", "as_at_home", "can_forbid", "forbid_sockets"]

KILLED = -signal.SIGSYS
CI_NAMES = (
    *("CI", "BUILD_ID", "BUILD_NUMBER", "CONTINUOUS_INTEGRATION", "TF_BUILD", "GITHUB_ACTIONS"),
    *("GITLAB_CI", "TRAVIS", "CIRCLECI", "APPVEYOR", "JENKINS_URL", "TEAMCITY_VERSION"),
    *("CODEBUILD_BUILD_ID", "BUILDKITE", "BITBUCKET_BUILD_NUMBER", "DRONE", "DO_NOT_TRACK"),
    *("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"),
)
# Machine -> the kernel's name of its instruction set, and the number of socket(2) there.
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def can_forbid() -> bool:
    """Whether this system has what `forbid_sockets` needs."""
    return sys.platform == "linux" and platform.machine() in MACHINES


def as_at_home(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what only CI systems set, and what asks libraries for silence."""
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if name not in CI_NAMES}


def forbid_sockets() -> None:
    """Let the kernel kill this process, or any child of it, that opens an internet socket.

    Raises:
        OSError: the kernel does not.
    """
    instructions, number = MACHINES[platform.machine()]
    code = b"".join(
        struct.pack("HBBI", *line)
        for line in (
            (LOAD, 0, 0, 4),  # the instruction set
            (JUMP_EQUAL, 0, 5, instructions),
            (LOAD, 0, 0, 0),  # the number of the call
            (JUMP_EQUAL, 0, 3, number),
            (LOAD, 0, 0, 16),  # its first argument
            (JUMP_EQUAL, 2, 0, socket.AF_INET),
            (JUMP_EQUAL, 1, 0, socket.AF_INET6),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, KILL_PROCESS),
        )
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def serve() -> None:
    """`scenelift serve`, which has one socket: the one it listens on."""
    from scenelift.cli import app
    from scenelift.webapp import serving

    listen = serving._listen

    def listen_and_no_more(settings):
        listener = listen(settings)
        forbid_sockets()
        return listener

    serving._listen = listen_and_no_more
    app(["serve", *sys.argv[2:]])


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        forbid_sockets()
        os.execvp(sys.argv[1], sys.argv[1:])
