"""How people stand, walk, sit, ride and lie, in a few angles each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["POSES", "Pose"]


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How a body holds itself, in degrees; pairs are left and right.

    Attributes:
        swing, drop, elbow: arms forward, down from halfway, bent.
        thigh, spread, knee: legs forward, sideways, bent.
        lean, turn: of the back, forward and to the side; the head looks there.
        lying: the whole body on its back (−90), front (90) or upright.
    """

    swing: tuple[float, float] = (0, 0)
    drop: tuple[float, float] = (32, 32)
    elbow: tuple[float, float] = (10, 10)
    thigh: tuple[float, float] = (0, 0)
    spread: float = 2
    knee: tuple[float, float] = (0, 0)
    lean: float = 0
    turn: float = 0
    lying: float = 0


POSES = {
    "stands": Pose(),
    "waits": Pose(swing=(12, -8), elbow=(25, 12), thigh=(6, -5), knee=(8, 2), turn=15),
    "walks": Pose(swing=(-24, 26), elbow=(14, 24), thigh=(24, -20), knee=(6, 26), lean=4),
    "strolls": Pose(swing=(16, -16), elbow=(20, 10), thigh=(-14, 18), knee=(18, 4), turn=-20),
    "runs": Pose(swing=(-45, 50), elbow=(85, 90), thigh=(58, -22), knee=(62, 75), lean=14),
    "sits": Pose(swing=(28, 26), elbow=(30, 32), thigh=(88, 86), spread=7, knee=(88, 86), lean=-3),
    "lounges": Pose(
        swing=(10, 15),
        drop=(15, 25),
        elbow=(30, 50),
        thigh=(75, 78),
        spread=12,
        knee=(60, 75),
        lean=-18,
    ),
    "works": Pose(swing=(42, 42), elbow=(70, 70), thigh=(88, 88), spread=6, knee=(90, 95), lean=10),
    "cycles": Pose(
        swing=(68, 68),
        drop=(36, 36),
        elbow=(15, 15),
        thigh=(95, 48),
        spread=3,
        knee=(95, 45),
        lean=38,
    ),
    "rides": Pose(swing=(48, 48), elbow=(35, 35), thigh=(65, 65), spread=22, knee=(80, 80), lean=8),
    "steers": Pose(
        swing=(58, 58), elbow=(25, 25), thigh=(72, 72), spread=12, knee=(95, 95), lean=14
    ),
    "skates": Pose(
        swing=(30, -20),
        drop=(5, 5),
        elbow=(20, 25),
        thigh=(35, 20),
        spread=16,
        knee=(45, 40),
        lean=15,
        turn=30,
    ),
    "carries": Pose(swing=(28, 28), elbow=(85, 85), thigh=(6, -6), knee=(5, 5), lean=-4),
    "reaches": Pose(swing=(80, 110), elbow=(15, 15), thigh=(-4, 8), lean=8),
    "waves": Pose(swing=(0, 130), drop=(34, 20), elbow=(10, 55), turn=-10),
    "telephones": Pose(swing=(5, 45), elbow=(12, 130), thigh=(8, -4), turn=15),
    "serves": Pose(
        swing=(95, 60),
        drop=(10, -10),
        elbow=(10, 60),
        thigh=(22, -16),
        knee=(16, 12),
        lean=-8,
        turn=25,
    ),
    "crouches": Pose(
        swing=(50, 50), elbow=(45, 40), thigh=(105, 100), spread=12, knee=(125, 120), lean=28
    ),
    "kneels": Pose(swing=(30, 45), elbow=(40, 35), thigh=(88, -4), spread=4, knee=(90, 92), lean=6),
    "bends": Pose(swing=(75, 75), elbow=(15, 15), thigh=(22, 18), knee=(28, 24), lean=50),
    "lies": Pose(
        swing=(5, 10),
        drop=(20, 10),
        elbow=(20, 40),
        thigh=(12, 3),
        spread=8,
        knee=(25, 5),
        lying=-90,
    ),
}
