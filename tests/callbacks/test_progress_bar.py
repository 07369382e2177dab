import io
import threading
import time

import pytest
from rich.console import Console

from pyhooks.callbacks import ProgressBar

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def terminal():
    screen = io.StringIO()
    return screen, Console(file=screen, force_terminal=True, width=100)


def test_prints_nothing_when_stdout_is_not_a_terminal(trainer, losses, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    threads = threading.active_count()
    trainer.run(losses(1.0, 2.0), ProgressBar())
    assert capfd.readouterr() == ("", "")
    assert threading.active_count() == threads


def test_prints_nothing_on_a_console_that_is_no_terminal(trainer, losses):
    screen = io.StringIO()
    trainer.run(losses(1.0), ProgressBar(Console(file=screen)))
    assert screen.getvalue() == ""


def test_a_row_an_epoch_and_the_reason_of_a_stop(trainer, losses):
    screen, console = terminal()
    bar = ProgressBar(console)
    trainer.request_stop("enough")
    for event in ("on_train_start", "on_train_epoch_start"):
        getattr(bar, event)(trainer)
    trainer.metrics = losses(0.5)[0]
    bar.on_fit_epoch_end(trainer)
    trainer.epoch, trainer.metrics = 1, losses(0.000012)[0]
    bar.on_fit_epoch_end(trainer)
    bar.on_train_end(trainer)
    text = screen.getvalue()
    assert text.count("train/loss") == 1
    assert "1/3" in text and "0.5000" in text
    assert "2/3" in text and "1.20e-05" in text
    assert "stopped: enough" in text


@pytest.mark.parametrize("ending", ["on_train_end", "on_interrupt", "on_exception", "teardown"])
def test_gives_the_terminal_back_however_the_run_ends(trainer, ending):
    screen, console = terminal()
    threads = threading.active_count()
    bar = ProgressBar(console)
    bar.on_train_start(trainer)
    bar.on_train_epoch_start(trainer)
    assert HIDE_CURSOR in screen.getvalue()
    getattr(bar, ending)(trainer)
    bar.teardown(trainer)
    text = screen.getvalue()
    assert text.rindex(SHOW_CURSOR) > text.rindex(HIDE_CURSOR)
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)  # rich tells its thread to end, and does not wait for it
    assert threading.active_count() == threads


def test_pulls_from_a_thread_of_its_own(trainer):
    screen, console = terminal()
    pulled_by = set()

    def peek():
        pulled_by.add(threading.current_thread())
        return trainer.snapshot

    trainer.peek = peek
    bar = ProgressBar(console)
    bar.on_train_start(trainer)
    bar.on_train_epoch_start(trainer)
    deadline = time.monotonic() + 5
    while pulled_by <= {threading.main_thread()} and time.monotonic() < deadline:
        time.sleep(0.02)
    bar.teardown(trainer)
    assert pulled_by - {threading.main_thread()}
    assert "5/10" in screen.getvalue() and "loss 0.2500" in screen.getvalue()


def test_the_same_object_for_two_runs(trainer, losses):
    screen, console = terminal()
    bar = ProgressBar(console)
    trainer.run(losses(1.0), bar)
    trainer.run(losses(2.0), bar)
    assert screen.getvalue().count("train/loss") == 2


def test_a_wrong_console_is_refused():
    with pytest.raises(TypeError, match="console"):
        ProgressBar("stdout")
