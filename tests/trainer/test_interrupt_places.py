"""Ctrl-C at places where it has no business: while a step is traced, while another thread trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pyhooks
from pyhooks.interrupts import deferred_interrupt


def test_a_held_interrupt_comes_after_the_block() -> None:
    inside = False
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(100_000))
        inside = True
    assert inside
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_during_capture_do_not_end_the_process() -> None:
    program = """
        import os, signal, threading, time, torch, pyhooks
        net = torch.nn.Sequential(*[torch.nn.Linear(8, 8) for _ in range(60)])
        data = torch.zeros(8, 8), torch.zeros(8, 8)
        def train():
            sgd = torch.optim.SGD(net.parameters(), lr=0.1)
            trainer = pyhooks.Trainer(net, torch.nn.functional.mse_loss, sgd, progress=False)
            trainer.fit(data, epochs=1, batch_size=8)
        def kill():
            for _ in range(20):
                time.sleep(0.02)
                os.kill(os.getpid(), signal.SIGINT)
        train()  # what torch imports when first needed is not what is tested here
        thread = threading.Thread(target=kill)
        thread.start()
        while thread.is_alive():
            try:
                while thread.is_alive():
                    train()
            except KeyboardInterrupt:
                pass
        thread.join()
        print("alive")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "alive" in done.stdout


def make() -> pyhooks.Trainer:
    net = nn.Linear(4, 1)
    return pyhooks.Trainer(net, F.mse_loss, torch.optim.SGD(net.parameters(), lr=1e-3), progress=False)


def test_a_training_in_another_thread_does_not_take_the_interrupt() -> None:
    data, started, release = (torch.randn(4000, 4), torch.randn(4000, 1)), threading.Event(), threading.Event()
    other = make()
    other.add_callback("on_train_epoch_start", lambda trainer: (started.set(), release.wait(60)))
    thread = threading.Thread(target=lambda: other.fit(data, epochs=1))
    thread.start()
    try:
        assert started.wait(60)
        mine = make()
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        mine.add_callback("on_train_start", lambda trainer: timer.start())
        with pytest.raises(KeyboardInterrupt):
            mine.fit(data, epochs=100_000, batch_size=1)
        assert mine.epoch < 1000
    finally:
        release.set()
        thread.join()
