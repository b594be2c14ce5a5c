"""Networks come to the device and leave it as a budget demands, and never change by that."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from scenelift.device import clear_device
from scenelift.models.residency import Residency

CPU = torch.device("cpu")


def to_half(tensors):
    return dict.fromkeys(tensors, torch.float16)


def layer(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(16, 16, bias=False).requires_grad_(False)


LAYER_BYTES = 16 * 16 * 2  # in half precision


def residency(limit: int | None) -> Residency:
    return Residency(CPU, cast=to_half, limit=limit)


def test_a_network_has_its_type_while_resident_and_its_values_afterwards():
    network, memory = layer(), residency(None)
    weight = network.weight
    before = weight.clone()
    with memory.running(network) as running:
        assert running is network
        assert network.weight is weight  # the object stays, for who holds on to it
        assert weight.dtype == torch.float16
        assert torch.equal(weight, before.half())
    memory.release()
    assert weight.dtype == torch.float32
    assert torch.equal(weight, before)
    assert memory.resident_bytes == 0


def test_what_is_beside_a_network_goes_with_it():
    network, memory = layer(), residency(None)
    with memory.running(network):
        made = memory.beside(network, list)
    assert memory.beside(network, list) is made
    memory.release()
    assert memory.beside(network, list) is not made


def test_without_a_limit_everything_stays():
    networks, memory = [layer(k) for k in range(5)], residency(None)
    for network in networks:
        with memory.running(network):
            pass
    assert memory.resident == tuple(networks)


def test_models_on_one_device_make_room_for_each_other():
    a, b, c, d = (layer(k) for k in range(4))
    first, second = residency(3 * LAYER_BYTES), residency(3 * LAYER_BYTES)
    for memory, network in ((first, a), (second, b), (first, c)):
        with memory.running(network):
            pass
    assert (first.resident, second.resident) == ((a, c), (b,))
    with second.running(d):
        assert (first.resident, second.resident) == ((c,), (b, d))
        with first.running(a):  # what runs stays, whoever it belongs to
            assert (first.resident, second.resident) == ((c, a), (d,))
    first.release()
    assert (first.resident, second.resident) == ((), ())


def test_the_least_recently_used_leaves_first():
    a, b, c = (layer(k) for k in range(3))
    memory = residency(2 * LAYER_BYTES)
    for network in (a, b, a, c):
        with memory.running(network):
            pass
    assert memory.resident == (a, c)


def test_room_is_made_for_what_a_network_needs_besides_its_tensors():
    a, b = layer(0), layer(1)
    memory = residency(3 * LAYER_BYTES)
    with memory.running(a):
        pass
    with memory.running(b, working=2 * LAYER_BYTES):
        assert memory.resident == (b,)


def test_a_running_network_never_leaves():
    a, b = layer(0), layer(1)
    memory = residency(1)
    with memory.running(a):
        with memory.running(b):
            assert set(memory.resident) == {a, b}
        memory.release()
        assert memory.resident == (a,)
        assert a.weight.dtype == torch.float16
    memory.release()
    assert memory.resident == ()


def test_tensors_shared_on_the_host_are_shared_on_the_device():
    a, b = layer(0), layer(1)
    b.weight.data = a.weight.data
    memory = residency(None)
    with memory.running(a), memory.running(b):
        assert a.weight.data_ptr() == b.weight.data_ptr()
        assert memory.resident_bytes == LAYER_BYTES
    memory.release()
    assert a.weight.data_ptr() == b.weight.data_ptr()


def test_buffers_travel_with_the_parameters():
    network = nn.BatchNorm1d(4).requires_grad_(False)
    memory = Residency(CPU, cast=lambda ts: dict.fromkeys(ts, torch.float64))
    with memory.running(network):
        assert {t.dtype for t in network.state_dict().values()} == {torch.float64}
    memory.release()
    assert network.running_mean is not None
    assert network.running_mean.dtype == torch.float32


@settings(deadline=None)
@given(
    uses=st.lists(st.integers(0, 4), max_size=20),
    limit=st.integers(0, 6).map(lambda n: n * LAYER_BYTES),
)
def test_what_is_resident_fits_the_limit_or_is_one_network(uses, limit):
    networks, memory = [layer(k) for k in range(5)], residency(limit)
    for k in uses:
        with memory.running(networks[k]):
            assert memory.resident[-1] is networks[k]
            assert memory.resident_bytes <= max(limit, LAYER_BYTES)


class Hungry:
    """A way to compute that runs out of memory the first times."""

    def __init__(self, failures: int, result: str) -> None:
        self.failures, self.result, self.calls = failures, result, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.result


@pytest.mark.parametrize(("failures", "result"), [(0, "full"), (1, "full"), (2, "less")])
def test_a_way_is_tried_twice_and_then_the_cheaper_one(failures, result):
    full, less = Hungry(failures, "full"), Hungry(0, "less")
    assert residency(None).first_that_fits(full, less) == result
    assert full.calls == min(failures + 1, 2)


def test_another_stage_clears_the_device_of_what_is_not_running():
    idle, busy, memory = layer(), layer(), residency(None)
    with memory.running(idle):
        pass
    with memory.running(busy):
        clear_device(memory.device)
        assert memory.resident == (busy,)


def test_the_device_is_cleared_before_the_second_try():
    a, memory = layer(), residency(None)
    with memory.running(a):
        pass
    seen = []

    def compute():
        seen.append(memory.resident)
        if len(seen) == 1:
            raise torch.OutOfMemoryError
        return "done"

    assert memory.first_that_fits(compute) == "done"
    assert seen == [(a,), ()]


def test_when_nothing_fits_the_error_is_told():
    with pytest.raises(torch.OutOfMemoryError):
        residency(None).first_that_fits(Hungry(9, "full"), Hungry(9, "less"))


def test_other_errors_are_not_tried_again():
    calls = []

    def broken():
        calls.append(1)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        residency(None).first_that_fits(broken)
    assert calls == [1]


@pytest.mark.parametrize(
    ("count", "room", "sizes"),
    [(1, 1, [1]), (4, 4, [4]), (4, 2, [2, 2]), (3, 2, [1, 2]), (3, 1, [1, 1, 1])],
)
def test_what_does_not_fit_at_once_is_done_in_halves_in_order(count, room, sizes):
    done = []

    def way(part: range) -> list[int]:
        if len(part) > room:
            raise torch.OutOfMemoryError
        done.append(len(part))
        return [10 * k for k in part]

    assert residency(None).in_parts(range(count), way) == [10 * k for k in range(count)]
    assert done == sizes


def test_where_not_even_one_fits_the_error_is_told():
    def way(part: range) -> list[int]:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        residency(None).in_parts(range(2), way)
