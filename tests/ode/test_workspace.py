"""Buffers that are used again, by one solve at a time."""

import gc
import threading

import pytest
import torch

from sknode.modules import MLPField, ODEBlock
from sknode.ode import odeint
from sknode.ode.pool import Pool
from tests.problems import Exponential, times


def run_together(work, n_threads):
    """Call work(i) in so many threads that start at one time."""
    start, failures = threading.Barrier(n_threads), []

    def run(i):
        start.wait()
        try:
            work(i)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
@pytest.mark.parametrize("kind", ["dense", "module"])
def test_threads_that_go_back_through_one_graph_find_the_same_gradients(kind, adjoint):
    torch.manual_seed(0)
    field, z0 = Exponential(), Exponential().initial().repeat(100, 1)
    if kind == "dense":
        field, z0 = MLPField(8, (32, 32)), torch.randn(300, 8)
    z0.requires_grad_()
    z = odeint(field, z0, times(0.0, 0.5, 1.0).to(z0.dtype), adjoint=adjoint).z
    inputs = [z0, *field.parameters()]
    weights = [torch.randn_like(z) for _ in range(4)]
    expected = [torch.autograd.grad(z, inputs, w, retain_graph=True) for w in weights]
    found = [[] for _ in weights]

    def differentiate(i):
        for _ in range(15):
            found[i].append(torch.autograd.grad(z, inputs, weights[i], retain_graph=True))

    run_together(differentiate, len(weights))
    for gradients, right in zip(found, expected, strict=True):
        for gradient in gradients:
            assert all(torch.equal(a, b) for a, b in zip(gradient, right, strict=True))


def test_a_pool_hands_each_workspace_to_one_borrower():
    pool, taken, lock = Pool(), set(), threading.Lock()

    def borrow_and_return(i):
        for n in range(3000):
            key = ("a size", n % 3)
            workspace = pool.take(key) or object()
            with lock:
                assert workspace not in taken
                taken.add(workspace)
            with lock:
                taken.remove(workspace)
            pool.give_back(key, workspace)

    run_together(borrow_and_return, 8)
    assert len(pool._idle) <= Pool.MOST_IDLE


def test_leases_that_end_in_any_thread_leave_the_pool_in_order():
    block = ODEBlock(MLPField(2, (3,)))

    def solve(i):
        for n in range(60):
            z = block(torch.ones(1 + (i + n) % 7, 2))
            # A cycle, so that the garbage collector ends the lease, at a time of its own.
            cycle = [z]
            cycle.append(cycle)
            if n % 20 == 0:
                gc.collect()

    run_together(solve, 6)
    gc.collect()
    assert len(block._pool._idle) <= Pool.MOST_IDLE
