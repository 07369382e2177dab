import json
import math
import threading

import pytest
import torch
from safetensors.torch import load_model

from pyhooks import checkpoint as checkpoint_file
from pyhooks.callbacks import Checkpoint, store


def files(folder) -> list[str]:
    """The checkpoints of a folder; links with what they point to."""
    found = sorted(folder.glob("*.safetensors"))
    assert [path.with_suffix(".json").exists() for path in found] == [True] * len(found)
    return [f"{p.stem}->{p.readlink().stem}" if p.is_symlink() else p.stem for p in found]


@pytest.fixture
def weights(trainer):
    return trainer.save_dir / "weights"


def test_last_and_best_are_links_to_what_is_kept(trainer, losses, weights):
    trainer.run(losses(1.0, 0.5, 0.6), Checkpoint())
    assert files(weights) == ["best->epoch2", "epoch2", "epoch3", "last->epoch3"]
    assert (weights / "last.safetensors").readlink() == (weights / "epoch3.safetensors").relative_to(weights)
    tensors, meta = checkpoint_file.load(weights / "best.safetensors")
    assert meta["epoch"] == 1
    assert tensors["model.weight"].tolist() == [[2, 2]]
    assert checkpoint_file.load(weights / "last.safetensors")[1]["epoch"] == 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_epoch_is_handed_over_once_and_told_of_when_it_is_there(trainer, losses, asynchronous):
    trainer.run(losses(1.0, 0.5, 0.6), Checkpoint(keep_last=None, asynchronous=asynchronous))
    assert [path.stem for path in trainer.handed_over] == ["epoch1", "epoch2", "epoch3"]
    assert [path.stem for path in trainer.saves] == ["epoch1", "epoch2", "epoch3"]


def test_training_goes_on_while_a_file_is_written(trainer, losses, monkeypatch):
    go_on = threading.Event()
    write = checkpoint_file.write
    monkeypatch.setattr(checkpoint_file, "write", lambda *args: go_on.wait(60) and write(*args))
    saver = Checkpoint(save_best=False)
    trainer.callbacks = [saver]
    saver.on_train_start(trainer)
    trainer._epoch(0, losses(1.0)[0])
    trainer._epoch(1, losses(0.5)[0])  # would wait for ever if it did not go on; the weights are others now
    assert (len(trainer.handed_over), trainer.saves) == (2, [])
    go_on.set()
    saver.on_train_end(trainer)
    assert [path.stem for path in trainer.saves] == ["epoch1", "epoch2"]
    weight = checkpoint_file.load(trainer.save_dir / "weights" / "last.safetensors")[0]["model.weight"]
    assert weight.tolist() == [[2, 2]]


def test_what_goes_wrong_in_the_background_is_raised_at_the_next_boundary(trainer, losses, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_file, "write", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.run(losses(1.0), Checkpoint())
    with pytest.raises(OSError, match="No space left"):
        trainer.run(losses(1.0), Checkpoint(asynchronous=False))


def test_the_checkpoint_holds_this_epochs_state_of_the_callback(trainer, losses, weights):
    trainer.run(losses(1.0, 0.5), Checkpoint())
    (state,) = checkpoint_file.load(weights / "best.safetensors")[1]["callbacks"]
    assert state == {"rankings": [{"best": -0.5, "best_epoch": 1, "entries": [[-0.5, "epoch2"]]}], "recent": ["epoch2"]}


def test_the_note_is_for_people(trainer, losses, weights):
    trainer.run(losses(1.0, math.nan), Checkpoint())
    note = json.loads((weights / "last.json").read_text())
    assert (note["file"], note["epoch"]) == ("epoch2.safetensors", 2)
    assert note["metrics"] == {"train/loss": 1.0, "val/loss": "nan"}
    assert note["best"] == [{"monitor": "fitness", "value": "nan", "best": -1.0, "best_epoch": 1}]


def test_a_monitor_and_a_folder_of_ones_own(trainer, losses, tmp_path):
    trainer.run(losses(1.0, 2.0), Checkpoint(tmp_path / "here", monitor="val/loss", save_last=False))
    assert files(tmp_path / "here") == ["best->epoch1", "epoch1"]
    assert not trainer.save_dir.exists()


def test_last_only(trainer, losses, weights):
    trainer.run(losses(1.0, 2.0), Checkpoint(save_best=False))
    assert files(weights) == ["epoch2", "last->epoch2"]


def test_top_k_and_the_last_few(trainer, losses, weights):
    trainer.run(losses(0.3, 0.1, 0.2, 0.4, 0.5), Checkpoint(top_k=2, keep_last=2))
    assert files(weights) == ["best->epoch2", "epoch2", "epoch3", "epoch4", "epoch5", "last->epoch5"]


def test_all_are_kept_where_none_is_the_limit(trainer, losses, weights):
    trainer.run(losses(0.3, 0.1, 0.2), Checkpoint(top_k=None, save_last=False))
    assert files(weights) == ["best->epoch2", "epoch1", "epoch2", "epoch3"]


def test_several_bests_at_once(trainer, weights):
    trainer.metric_names = ["val/loss", "val/accuracy"]
    rows = [{"val/loss": loss, "val/accuracy": accuracy} for loss, accuracy in ((0.2, 0.7), (0.1, 0.6), (0.3, 0.9))]
    trainer.run(rows, Checkpoint(monitor=["val/loss", "val/accuracy"], save_last=False))
    assert files(weights) == ["best-val_accuracy->epoch3", "best-val_loss->epoch2", "epoch2", "epoch3"]


def test_every_few_epochs(trainer, losses, weights):
    trainer.run(losses(5, 4, 3, 2, 1), Checkpoint(every=2, keep_last=None))
    assert files(weights) == ["best->epoch4", "epoch2", "epoch4", "last->epoch4"]


def test_when_a_function_says_so(trainer, losses, weights):
    trainer.run(losses(5, 4, 3, 2), Checkpoint(when=lambda t: t.epoch in (0, 2), keep_last=None))
    assert files(weights) == ["best->epoch3", "epoch1", "epoch3", "last->epoch3"]


def test_names_of_ones_own(trainer, losses, weights):
    trainer.run(losses(0.25), Checkpoint(filename="{epoch:03d}-{step}-{val/loss:.3f}"))
    assert files(weights) == ["001-10-0.250", "best->001-10-0.250", "last->001-10-0.250"]


@pytest.mark.parametrize("event", ["on_interrupt", "on_exception"])
def test_the_state_at_an_interruption(trainer, losses, weights, event):
    name = {"on_interrupt": "interrupted", "on_exception": "exception"}[event]
    trainer.exception = KeyboardInterrupt() if event == "on_interrupt" else ValueError()
    for wanted in (False, True):
        saver = Checkpoint(**{event: wanted})
        trainer.run(losses(0.5), saver)
        torch.nn.init.constant_(trainer.model.weight, 7.0)
        if event == "on_interrupt":
            saver.on_interrupt(trainer)
        saver.on_exception(trainer)
        assert files(weights) == ["best->epoch1", "epoch1"] + [name] * wanted + ["last->epoch1"]
    assert checkpoint_file.load(weights / f"{name}.safetensors")[0]["model.weight"].tolist() == [[7, 7]]


def test_nothing_is_saved_of_a_run_that_has_trained_nothing(trainer, weights):
    Checkpoint().on_exception(trainer)
    assert not weights.exists()


def test_weights_only_load_into_the_bare_module(trainer, losses, weights):
    trainer.run(losses(0.5), Checkpoint(weights_only=True))
    model = torch.nn.Linear(2, 1)
    assert load_model(model, weights / "best.safetensors") == (set(), [])
    assert torch.equal(model.weight, trainer.model.weight)
    with pytest.raises(checkpoint_file.CheckpointError, match="not a pyhooks checkpoint"):
        checkpoint_file.load(weights / "best.safetensors")


def test_copies_where_links_fail(trainer, losses, weights, monkeypatch):
    def no_links(*_):
        raise OSError("Operation not supported")

    monkeypatch.setattr(store.Path, "symlink_to", no_links)
    trainer.run(losses(1.0, 0.5, 0.6), Checkpoint())
    assert files(weights) == ["best", "epoch2", "epoch3", "last"]
    for alias, name in (("best", "epoch2"), ("last", "epoch3")):
        for suffix in (".safetensors", ".json"):
            assert (weights / (alias + suffix)).read_bytes() == (weights / (name + suffix)).read_bytes()


@pytest.mark.parametrize("protocol", ["memory", "local"])
def test_places_that_fsspec_reaches(trainer, losses, tmp_path, protocol):
    fsspec = pytest.importorskip("fsspec")
    url = f"{protocol}://{tmp_path}/run"
    trainer.run(losses(1.0, 0.5, 0.6), Checkpoint(url))
    there, folder = fsspec.core.url_to_fs(url)
    names = sorted(name.rsplit("/", 1)[-1] for name in there.ls(folder, detail=False))
    assert [name for name in names if name.endswith(".safetensors")] == [
        f"{name}.safetensors" for name in ("best", "epoch2", "epoch3", "last")
    ]
    there.get_file(f"{folder}/best.safetensors", str(tmp_path / "best"))
    assert checkpoint_file.load(tmp_path / "best")[1]["epoch"] == 1
    assert [str(path).startswith(protocol[:3]) or protocol == "local" for path in trainer.saves] == [True] * 3


def test_a_second_run_starts_afresh_and_a_resumed_one_does_not(trainer, losses):
    saver = Checkpoint(save_last=False)
    trainer.run(losses(0.1), saver)
    trainer.run(losses(0.5), saver)
    assert len(trainer.saves) == 2
    resumed = Checkpoint(save_last=False)
    resumed.load_state_dict(saver.state_dict())
    trainer.run(losses(0.6), resumed, first=1)
    assert len(trainer.saves) == 2


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"save_last": False, "save_best": False}, ValueError, "would save nothing"),
        ({"dir": 3}, TypeError, "dir=3"),
        ({"monitor": "val/temperature"}, ValueError, "mode"),
        ({"monitor": []}, ValueError, "wanted a metric's name, a list of them"),
        ({"top_k": 0}, ValueError, "top_k=0, wanted a whole number of at least 1"),
        ({"keep_last": 1.5}, ValueError, "keep_last=1.5"),
        ({"every": None}, TypeError, "every=None"),
        ({"when": 3}, TypeError, "when=3"),
        ({"when": lambda: True}, TypeError, "cannot be called with one argument"),
        ({"filename": "ckpt"}, ValueError, "to tell files apart"),
        ({"filename": "a/{epoch}"}, ValueError, "without folders"),
        ({"filename": "{epoch"}, ValueError, "no template"),
        ({"filename": 3}, TypeError, "filename=3"),
        ({"asynchronous": None}, TypeError, "asynchronous=None"),
    ],
)
def test_wrong_options_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        Checkpoint(**options)


def test_a_name_with_a_metric_that_will_not_be_there_is_refused(trainer):
    with pytest.raises(ValueError, match=r"this run has no 'val/f1'; it has epoch, step, train/loss"):
        trainer.run([], Checkpoint(filename="{epoch}-{val/f1}"))
