"""A batch on Dask workers that a real SLURM starts, replaces and loses."""

from __future__ import annotations


def test_dask_workers_survive_a_kill_and_a_cancelled_job(slurm, photos, begin, check_all_settled):
    batch = begin(photos, "--on=dask", "--slurm", "--workers=2", "--mem=1G", "--gres=gpu:1")
    batch.until_settled(3)
    batch.kill_a_worker()

    batch.until_settled(10)
    job, _ = next(iter(slurm.tasks("RUNNING").items()))
    slurm.command("scancel", job)

    code, said = batch.wait()
    assert code == 5, said
    check_all_settled(batch)
    slurm.until(lambda: not slurm.tasks("PENDING", "RUNNING"), 20)
