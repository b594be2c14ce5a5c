"""Clicks in the server: sent to a worker on its standard input, answered through a pipe."""

from __future__ import annotations

import itertools
import json
import logging
import os
import subprocess
import threading
from collections import Counter
from typing import Any

from scenelift.webapp.errors import NotReady, TooManyRequests

__all__ = ["ClickLine", "ClickLines"]

log = logging.getLogger(__name__)

MOST_WAITING = 16
MOST_OF_ONE = 3
ANSWER_SECONDS = 60.0


class _Waiting:
    def __init__(self) -> None:
        self.answered = threading.Event()
        self.reply: dict[str, Any] | None = None


class ClickLine:
    """Connects to one worker process, and ends with it."""

    def __init__(self, process: subprocess.Popen[bytes], answers: int) -> None:
        self._process, self._numbers = process, itertools.count()
        self._writing, self._waiting = threading.Lock(), dict[int, _Waiting]()
        self.open = True
        threading.Thread(target=self._read, args=(answers,), daemon=True, name="answers").start()

    def ask(self, request: dict[str, Any], seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Send a click and wait for its answer.

        Raises:
            NotReady: the worker is gone, or does not answer.
        """
        number, waiting = next(self._numbers), _Waiting()
        self._waiting[number] = waiting
        try:
            stdin = self._process.stdin
            if not self.open or stdin is None:
                raise NotReady("The worker has just ended. Click again in a moment.", 2)
            with self._writing:
                stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
                stdin.flush()
            waiting.answered.wait(seconds)
        except (OSError, ValueError) as exc:
            raise NotReady("The worker has just ended. Click again in a moment.", 2) from exc
        finally:
            self._waiting.pop(number, None)
        if waiting.reply is None:
            raise NotReady("The worker did not answer. Click again in a moment.", 2)
        return waiting.reply

    def _read(self, answers: int) -> None:
        with os.fdopen(answers, "rb") as pipe:
            for line in pipe:
                try:
                    reply = json.loads(line)
                    waiting = self._waiting.get(reply["id"])
                except (ValueError, TypeError, KeyError):
                    log.error("a worker wrote what is no answer: %r", line[:80])
                    continue
                if waiting is not None:
                    waiting.reply = reply
                    waiting.answered.set()
        self.open = False
        for waiting in list(self._waiting.values()):
            waiting.answered.set()


class ClickLines:
    """Connects to all workers, and limits who may use them how much."""

    def __init__(self) -> None:
        self._lines: dict[int, ClickLine] = {}
        self._of_owner: Counter[str] = Counter()
        self._lock = threading.Lock()

    def opened(self, slot: int, process: subprocess.Popen[bytes], answers: int) -> None:
        """Note that a worker was started."""
        self._lines[slot] = ClickLine(process, answers)

    def ask(self, owner: str, request: dict[str, Any], *, busy_slots: set[int]) -> dict[str, Any]:
        """Have a click answered, by a worker without a job where there is one.

        Raises:
            TooManyRequests: too many are waiting.
            NotReady: no worker is there, or it is lost meanwhile.
        """
        lines = sorted(
            ((slot in busy_slots, slot, line) for slot, line in self._lines.items() if line.open),
            key=lambda entry: entry[:2],
        )
        if not lines:
            raise NotReady("There is no worker at the moment. Click again in a few seconds.", 3)
        with self._lock:
            if self._of_owner.total() >= MOST_WAITING or self._of_owner[owner] >= MOST_OF_ONE:
                raise TooManyRequests("Many clicks are waiting. Click again in a moment.", 1)
            self._of_owner[owner] += 1
        try:
            return lines[0][2].ask(request)
        finally:
            with self._lock:
                self._of_owner[owner] -= 1
                self._of_owner += Counter()
