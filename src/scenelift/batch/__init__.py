"""Batches: run many photos with workers that share a ledger on a disk. See `docs/batch.md`.

manifest, items      what to do
ledger, journal      what was done, by whom
worker, attempt      one process that holds the models; one try at one item
on_local, on_dask, on_slurm     where workers run
summary, tables      what a person looks at afterwards
"""
