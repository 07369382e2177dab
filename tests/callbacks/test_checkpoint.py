import json
import math

import pytest

from pyhooks import checkpoint as checkpoint_file
from pyhooks.callbacks import Checkpoint


def test_writes_last_every_epoch_and_best_when_better(trainer, losses):
    trainer.run(losses(1.0, 0.5, 0.6), Checkpoint())
    folder = trainer.save_dir / "weights"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.json",
        "best.safetensors",
        "last.json",
        "last.safetensors",
    ]
    assert [path.stem for path in trainer.saves] == ["last", "best", "last", "best", "last"]
    tensors, meta = checkpoint_file.load(folder / "best.safetensors")
    assert meta["epoch"] == 1
    assert tensors["model.weight"].tolist() == [[2, 2]]
    assert checkpoint_file.load(folder / "last.safetensors")[1]["epoch"] == 2


def test_the_checkpoint_holds_this_epochs_state_of_the_callback(trainer, losses):
    trainer.run(losses(1.0, 0.5), Checkpoint())
    meta = checkpoint_file.load(trainer.save_dir / "weights" / "best.safetensors")[1]
    assert meta["callbacks"] == [{"best": -0.5, "best_epoch": 1}]


def test_the_note_is_for_people(trainer, losses):
    trainer.run(losses(1.0, math.nan), Checkpoint())
    note = json.loads((trainer.save_dir / "weights" / "last.json").read_text())
    assert note["epoch"] == 2
    assert note["metrics"] == {"train/loss": 1.0, "val/loss": "nan"}
    assert (note["best"], note["best_epoch"]) == (-1.0, 1)


def test_a_monitor_and_a_folder_of_ones_own(trainer, losses, tmp_path):
    trainer.run(losses(1.0, 2.0), Checkpoint(tmp_path / "here", monitor="val/loss", save_last=False))
    assert [path.name for path in trainer.saves] == ["best.safetensors"]
    assert (tmp_path / "here" / "best.safetensors").exists()
    assert not trainer.save_dir.exists()


def test_last_only(trainer, losses):
    trainer.run(losses(1.0), Checkpoint(save_best=False))
    assert [path.stem for path in trainer.saves] == ["last"]


def test_a_second_run_starts_afresh_and_a_resumed_one_does_not(trainer, losses):
    saver = Checkpoint(save_last=False)
    trainer.run(losses(0.1), saver)
    trainer.run(losses(0.5), saver)
    assert len(trainer.saves) == 2
    resumed = Checkpoint(save_last=False)
    resumed.load_state_dict(saver.state_dict())
    trainer.run(losses(0.6), resumed, first=1)
    assert len(trainer.saves) == 2


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="would save nothing"):
        Checkpoint(save_last=False, save_best=False)
    with pytest.raises(TypeError, match="dir=3"):
        Checkpoint(3)
    with pytest.raises(ValueError, match="mode"):
        Checkpoint(monitor="val/temperature")
