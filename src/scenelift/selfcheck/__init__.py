"""Tests whether weights work: one photo of the package, through every stage, judged.

    photo.py      the photo, and what is known about it
    finding.py    one figure against what is plausible
    judge.py      what is plausible for each stage's result
    run.py        runs the stages with the weights that are there
    page.py       one page to attach to an issue
    record.py     which weights have passed

`scenelift models verify --run` is this.
"""
