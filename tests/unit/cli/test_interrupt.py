import os
import signal

import pytest

from tuner.cli.interrupt import two_step


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def test_the_first_signal_asks_and_the_second_raises():
    with two_step() as asked:
        interrupt(signal.SIGTERM)
        assert asked.is_set()
        assert asked.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_who_polls_sees_the_second_signal_and_only_the_third_raises():
    with two_step() as asked:
        asked.is_polled = True
        interrupt()
        assert not asked.again.is_set()
        interrupt()
        assert asked.again.is_set()
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_a_signal_in_the_middle_of_waiting_ends_the_wait_whatever_the_waiter_holds():
    """With `threading.Event` the handler can wait for a lock of the very thread it interrupts."""
    with two_step() as asked:
        signal.signal(signal.SIGALRM, lambda *_: asked.handle(signal.SIGINT, None))
        with asked._cond:  # what a waiter of an ordinary event holds
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            assert asked.wait(60)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert not asked.again.wait(0.01)


def test_afterwards_signals_mean_what_they_meant_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with two_step():
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
