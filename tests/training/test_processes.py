"""Several processes train one network: they see different data and end with the same weights.

Afterwards they can join again, whichever comes first: another network may be next.
"""

from __future__ import annotations

import os
import subprocess
import sys

import torch

RUN = """
import os
import sys
import time
from pathlib import Path

import torch
from torch import nn

from scenelift.training.loop import LoopOptions, train
from scenelift.training.processes import is_first, join, leave


class Line:
    network = nn.Linear(1, 1)
    seen = []

    def batch(self, size, generator):
        x = torch.rand((size, 1), generator=generator)
        self.seen.append(float(x[0]))
        return x, 3 * x - 1

    def loss(self, network, batch):
        return (network(batch[0]) - batch[1]).square().mean(), {}

    def evaluate(self, network):
        return {}


torch.manual_seed(0)
folder, task = Path(sys.argv[1]), Line()
loop = LoopOptions(steps=300, batch=8, rate=0.1, warmup=5, seconds=600, average=0.9)
done = train(task, loop, folder / "line.pt")
device = torch.device("cpu")
for late in ("0", "1"):
    if os.environ["RANK"] == late:
        time.sleep(1)
    rank, world = join(device)
    leave(device)
torch.save({"world": world, "seen": task.seen[0], "first": is_first(), **done.network},
           folder / f"{rank}.pt")
"""


def test_two_processes_learn_together(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"{k}.pt", weights_only=True) for k in (0, 1))
    assert (one["world"], other["world"]) == (2, 2)
    assert (one["first"], other["first"]) == (True, False)
    assert one["seen"] != other["seen"]
    for name in ("weight", "bias"):
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)
    torch.testing.assert_close(one["weight"].item(), 3.0, rtol=0.05, atol=0)
    assert (tmp_path / "line.pt").is_file()
