"""Items as Dask tasks: a worker's death costs no neighbour, and problems of the set-up stop all."""

from __future__ import annotations

import PIL.Image
import pytest
from tests.drivers.small import SMALL

from scenelift.batch.items import BatchItem
from scenelift.batch.on_dask import DaskWorkers, take_item
from scenelift.batch.progress import BatchProgress
from scenelift.batch.run import begin_batch, watch
from scenelift.batch.settings import BatchSettings
from scenelift.batch.slurm import SlurmOptions
from scenelift.errors import InputError
from scenelift.options import Options
from scenelift.testing.fakes import disc_photo
from scenelift.types import Prompt

SETTINGS = BatchSettings(
    pipeline="tests.drivers.web:fake_pipeline",
    options=Options(**SMALL),
    attempts=2,
)


@pytest.fixture
def begin(tmp_path):
    photo = tmp_path / "disc.png"
    PIL.Image.fromarray(disc_photo().pixels).save(photo)

    def start(*prompts, settings=SETTINGS):
        items = [
            BatchItem.of(photo, Prompt(phrases=(p,)), 0, id=f"i{k}") for k, p in enumerate(prompts)
        ]
        folder, _ = begin_batch(items, tmp_path / "out", settings)
        return folder, items

    return start


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster


# Of distributed's own threads and sockets, while it restarts what was killed.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_poison_fails_alone_on_dask_workers(begin, cluster):
    folder, items = begin("red", "crash", "blue", "red", "white")
    progress = BatchProgress(folder, items)
    executor = DaskWorkers(
        folder, SETTINGS, scheduler=cluster.scheduler_address, slurm=None, workers=2
    )
    report = watch(progress, executor)
    assert (report.counts["done"], report.counts["nothing"], report.counts["failed"]) == (3, 1, 1)
    assert progress.entries["i1"].error == "worker-lost"
    assert progress.entries["i1"].losses == 2


def test_a_task_hands_back_the_problem_that_stops_the_batch(begin):
    settings = BatchSettings(pipeline="nowhere:at_all")
    folder, items = begin("red", settings=settings)
    problem = take_item(str(folder.root), settings.to_json(), items[0].to_json())
    assert problem is not None
    assert problem["exit_code"] == 4
    assert "nowhere" in problem["detail"]


@pytest.mark.parametrize("slurm", [None, SlurmOptions()])
def test_workers_come_from_one_place(begin, slurm):
    folder, _ = begin("red")
    address = "tcp://127.0.0.1:1" if slurm else ""
    with pytest.raises(InputError, match="--scheduler"):
        DaskWorkers(folder, SETTINGS, scheduler=address, slurm=slurm, workers=1)
