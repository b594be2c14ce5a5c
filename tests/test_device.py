"""Devices, precisions and amounts of memory, from what a user writes."""

from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scenelift.device import (
    choose_device,
    choose_dtype,
    keep_blocks_whole,
    limit_memory,
    split_devices,
)
from scenelift.errors import InputError, SetupError
from scenelift.options import UNLIMITED, read_bytes

CPU = torch.device("cpu")


def test_auto_takes_cuda_where_it_is_and_else_the_cpu():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there_is_a_problem_of_the_set_up(name):
    with pytest.raises(SetupError, match="--device auto"):
        choose_device(name)


def test_half_precision_is_for_gpus():
    assert choose_dtype(CPU) == torch.float32
    assert choose_dtype(torch.device("cuda")) == torch.float16
    assert choose_dtype(torch.device("cuda"), "bfloat16") == torch.bfloat16
    assert choose_dtype(torch.device("mps")) == torch.float32
    with pytest.raises(SetupError, match="needs a GPU"):
        choose_dtype(CPU, "float16")


def test_a_limit_means_nothing_to_a_cpu():
    limit_memory(CPU, 1)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8e9),
        ("7.5 GiB", 7.5 * 2**30),
        ("6000mb", 6e9),
        ("512 MiB", 2**29),
        ("1073741824", 2**30),
    ],
)
def test_amounts_of_memory_are_read(text, size):
    assert read_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-8GB", "0", "8", "8 apples", "8GBs", "1e9", "8,5GB"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InputError, match="such as 8GB"):
        read_bytes(text)


@given(text=st.text(max_size=12))
def test_no_text_gives_less_than_a_byte(text):
    with suppress(InputError):
        assert read_bytes(text) > 0


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_most_often_there_is_one_device(name):
    assert split_devices(name) == (name,)


@pytest.mark.parametrize("name", ["cuda:0,cuda:0", "cuda:0,cpu", "cuda,cuda:1", "cuda:0,", "0,1"])
def test_devices_that_cannot_share_a_scene_are_refused(name):
    with pytest.raises(InputError, match="expected different GPUs"):
        split_devices(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("name", ["cuda:all", "cuda:0,cuda:1"])
def test_gpus_that_are_not_there_are_named(name):
    with pytest.raises(SetupError):
        split_devices(name)


def test_all_the_memory_there_is_can_be_asked_for():
    assert read_bytes(" MAX ") == UNLIMITED
    assert limit_memory(torch.device("cpu"), UNLIMITED) is None


def test_blocks_are_kept_whole_on_a_gpu_unless_the_user_set_something(monkeypatch):
    settings = []
    monkeypatch.setattr(
        torch._C, "_accelerator_setAllocatorSettings", settings.append, raising=False
    )
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    keep_blocks_whole(CPU)
    assert not settings
    keep_blocks_whole(torch.device("cuda"))
    assert settings == ["max_split_size_mb:256"]
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    keep_blocks_whole(torch.device("cuda"))
    assert len(settings) == 1
