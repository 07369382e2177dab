import pytest

from pyhooks.callbacks import EarlyStopping, WhatIfStopping

LOSSES = (1.0, 0.5, 0.6, 0.7, 0.4, 0.45)


def policies() -> list[EarlyStopping]:
    return [EarlyStopping(patience=2), EarlyStopping(patience=9), EarlyStopping(patience=9, target=0.5)]


def seen(what_if: WhatIfStopping) -> list[tuple[object, ...]]:
    return [(result.epoch, result.best, round(result.lost, 6)) for result in what_if.results]


def test_each_policy_says_where_it_would_have_stopped_and_nobody_stops(trainer, losses):
    what_if = WhatIfStopping(policies(), report=False)
    trainer.run(losses(*LOSSES), what_if)
    assert trainer.epoch == 5 and not trainer.stop
    assert seen(what_if) == [(3, 0.5, 0.1), (None, 0.4, 0), (1, 0.5, 0.1)]
    first, second, third = what_if.results
    assert first.reason == "val/loss has not got better for 2 epochs (best 0.5 in epoch 2, now 0.7)"
    assert third.reason == "val/loss has reached 0.5 (target 0.5)"
    assert (second.reason, second.seconds, second.share) == (None, 0, 0)
    assert 0 < first.seconds < third.seconds and 0 < first.share < third.share < 1


def test_it_agrees_with_the_policies_that_do_stop(trainer, losses):
    what_if = WhatIfStopping(policies(), report=False)
    trainer.run(losses(*LOSSES), what_if)
    for result, policy in zip(what_if.results, policies(), strict=True):
        trainer.run(losses(*LOSSES), policy)
        assert (result.epoch, result.reason) == (policy.stopped_epoch, trainer.stop_reason)


def test_the_table_at_the_end(trainer, losses, capsys):
    trainer.run(losses(*LOSSES), WhatIfStopping(policies()))
    lines = [line for line in capsys.readouterr().out.splitlines() if "EarlyStopping" in line]
    assert [line.split("│")[2].strip() for line in lines] == ["4", "not stopped", "2"]


def test_used_twice_it_starts_afresh(trainer, losses):
    what_if = WhatIfStopping([EarlyStopping(patience=2)], report=False)
    trainer.run(losses(0.1, 0.2, 0.3), what_if)
    trainer.run(losses(1.0, 0.9, 0.8), what_if)
    assert seen(what_if) == [(None, 0.8, 0)]


def test_a_resumed_run_goes_on(trainer, losses):
    first, second = WhatIfStopping(policies(), report=False), WhatIfStopping(policies(), report=False)
    trainer.run(losses(*LOSSES[:3]), first)
    second.load_state_dict(first.state_dict())
    trainer.run(losses(*LOSSES[3:]), second, first=3)
    assert seen(second) == [(3, 0.5, 0.1), (None, 0.4, 0), (1, 0.5, 0.1)]


def test_a_policy_with_a_metric_that_will_not_be_there_is_refused(trainer):
    with pytest.raises(ValueError, match="EarlyStopping monitors 'val/f1'"):
        trainer.run([], WhatIfStopping([EarlyStopping("val/f1")]))


@pytest.mark.parametrize(
    ("policies", "error", "words"),
    [
        ([], ValueError, "wanted a list of EarlyStopping"),
        (EarlyStopping(), ValueError, "wanted a list of EarlyStopping"),
        ([3], TypeError, "got 3 among its policies"),
        ([EarlyStopping(restore_best=True)], ValueError, "leave out restore_best"),
    ],
)
def test_wrong_policies_are_refused(policies, error, words):
    with pytest.raises(error, match=words):
        WhatIfStopping(policies)
