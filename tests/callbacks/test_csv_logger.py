import csv

import pytest

from pyhooks.callbacks import CSVLogger


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_an_epoch_with_every_digit(trainer):
    trainer.run([{"val/loss": 1 / 3}, {"val/loss": 0.1}], CSVLogger())
    path = trainer.save_dir / "results.csv"
    assert path.read_text().splitlines()[0] == "epoch,time,val/loss"
    rows = read(path)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["val/loss"]) == 1 / 3
    assert float(rows[0]["time"]) <= float(rows[1]["time"])


def test_a_row_is_in_the_file_when_its_epoch_ends(trainer, losses):
    class Look:
        def __getattr__(self, name):
            return lambda trainer: None

        def on_fit_epoch_end(self, trainer):
            assert len(read(trainer.save_dir / "results.csv")) == trainer.epoch + 1

    trainer.run(losses(1.0, 2.0), CSVLogger(), Look())


def test_a_later_metric_gets_a_column_and_a_missing_one_an_empty_cell(trainer):
    trainer.run([{"a": 1.0}, {"a": 2.0, "b": 3.0}, {"b": 4.0}], CSVLogger())
    rows = read(trainer.save_dir / "results.csv")
    assert [(row["a"], row["b"]) for row in rows] == [("1.0", ""), ("2.0", "3.0"), ("", "4.0")]


def test_a_path_of_ones_own_in_a_new_folder(trainer, losses, tmp_path):
    trainer.run(losses(1.0), CSVLogger(tmp_path / "new" / "log.csv"))
    assert len(read(tmp_path / "new" / "log.csv")) == 1
    assert not trainer.save_dir.exists()


def test_a_second_fit_starts_the_file_anew(trainer, losses):
    logger = CSVLogger()
    trainer.run(losses(1.0, 2.0), logger)
    trainer.run(losses(3.0), logger)
    assert [row["val/loss"] for row in read(trainer.save_dir / "results.csv")] == ["3.0"]


def test_a_resumed_run_goes_on_below_the_epochs_it_had_done(trainer, losses):
    first = CSVLogger()
    trainer.run(losses(1.0, 2.0, 3.0), first)
    second = CSVLogger()
    second.load_state_dict({"seconds": 100.0})
    trainer.run(losses(7.0, 8.0), second, first=2)
    rows = read(trainer.save_dir / "results.csv")
    assert [(row["epoch"], row["val/loss"]) for row in rows] == [
        ("1", "1.0"),
        ("2", "2.0"),
        ("3", "7.0"),
        ("4", "8.0"),
    ]
    assert float(rows[2]["time"]) >= 100


def test_a_resumed_run_without_its_file_starts_one(trainer, losses):
    logger = CSVLogger()
    logger.load_state_dict({"seconds": 1.0})
    trainer.run(losses(7.0), logger, first=2)
    assert [row["epoch"] for row in read(trainer.save_dir / "results.csv")] == ["3"]


def test_a_wrong_path_is_refused():
    with pytest.raises(TypeError, match="path=3"):
        CSVLogger(3)
