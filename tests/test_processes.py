"""Work of several parts, each in a process of its own."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from kdlib.processes import OWN_MEMORY, count_processes, results_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_are_those_of_the_function_whatever_the_number_of_processes():
    items = list(range(7))
    for processes in (1, 2, 3):
        assert dict(results_of(lambda item: item**2, items, processes)) == {item: item**2 for item in items}


def test_the_work_is_done_by_other_processes_with_one_thread_each(two_threads):
    places = dict(results_of(lambda _: (os.getpid(), torch.get_num_threads()), range(4), 2))
    assert os.getpid() not in {process for process, _ in places.values()}
    assert {threads for _, threads in places.values()} == {1}


def test_tensors_are_computed_after_the_first_process_has_computed_with_threads(two_threads):
    size = 300
    matrix = torch.ones(size, size)
    assert float((matrix @ matrix)[0, 0]) == size  # threads are there now
    matrix.requires_grad_()

    def slope(factor):
        (gradient,) = torch.autograd.grad((matrix @ matrix).sum() * factor, matrix)
        return float(gradient[0, 0])

    assert dict(results_of(slope, [1, 2], 2)) == {0: 2 * size, 1: 4 * size}


def test_a_failure_says_where_it_was():
    with pytest.raises(RuntimeError, match="seven is no number"):
        list(results_of(raise_value_error, range(2), 2))


def raise_value_error(_):
    raise ValueError("seven is no number")


def test_a_process_that_is_killed_is_an_error_and_no_endless_wait():
    with pytest.raises(RuntimeError, match="a process ended before its work was over"):
        list(results_of(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(2), 2))


def test_what_waits_can_end_all_processes(tmp_path):
    def work(number):
        (tmp_path / str(number)).write_text(str(os.getpid()))
        signal.pause()

    def stop():
        if len([path for path in tmp_path.iterdir() if path.read_text()]) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(results_of(work, range(2), 2, stop))
    assert not any(psutil.pid_exists(int(path.read_text())) for path in tmp_path.iterdir())


def test_processes_end_with_the_one_that_began_them():
    code = (
        "import os, signal\nfrom kdlib.processes import results_of\n"
        "def work(_):\n    print(os.getpid(), flush=True)\n    signal.pause()\n"
        "list(results_of(work, range(2), 2))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        numbers = [int(first.stdout.readline()) for _ in range(2)]
        first.kill()
        assert first.stdout.read() == ""  # nobody holds the other end any longer
    assert len(set(numbers)) == 2


def test_there_are_as_many_processes_as_threads_or_parts_and_one_in_a_worker(two_threads, monkeypatch):
    monkeypatch.delenv(OWN_MEMORY, raising=False)
    assert [count_processes(parts) for parts in (0, 1, 2, 9)] == [1, 1, 2, 2]
    monkeypatch.setenv(OWN_MEMORY, "1000000000")
    assert count_processes(9) == 1
