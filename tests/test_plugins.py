"""Plugins as Python sees them: names, options, help, errors. tests/plugin/ uses them from the installed package."""

from __future__ import annotations

import inspect
import pydoc
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from trainer_helpers import Recorder, points, trainer_of

import pyhooks
from pyhooks import CallbackError, PluginError, plugins
from pyhooks.native import NativeCallback, available
from pyhooks.registration import warn_of_shared_columns

SOURCE = r"""
#include <pyhooks/plugin.h>

#include <new>
#include <stdexcept>

namespace mine {

/// Logs the loss times a factor; throws what it is told to.
class Scaled final : public pyhooks::Callback {
 public:
  explicit Scaled(const pyhooks::Options& options)
      : factor_(options.get<double>("factor")), name_(options.get<std::string>("name")) {
    if (factor_ == 0) throw std::invalid_argument("Scaled: factor is 0, it must be another number");
    if (options.has("fail")) fail_ = options.get<std::string>("fail");
    if (fail_ == "beta") throw std::invalid_argument("beta is 2; it must be below 1");
    if (fail_ == "int at once") throw 42;
  }
  std::vector<std::string> logs() const override { return {name_}; }
  void on_train_batch_end(pyhooks::BatchContext& ctx) override {
    if (fail_ == "ValueError") throw std::invalid_argument("wrong here");
    if (fail_ == "IndexError") throw std::out_of_range("wrong here");
    if (fail_ == "MemoryError") throw std::bad_alloc();
    if (fail_ == "CallbackError") throw std::runtime_error("wrong here");
    if (fail_ == "int") throw 42;
    if (fail_ == "param") static_cast<void>(ctx.param(99));
    if (fail_ == "lr") ctx.set_lr(-1);
    ctx.log(name_, factor_ * ctx.loss());
  }

 private:
  double factor_;
  std::string name_, fail_;
};

struct Quiet final : pyhooks::Callback {
  void on_train_start(pyhooks::Context&) override {}
};

}  // namespace mine

PYHOOKS_CALLBACK(mine::Scaled, "scaled", "Logs the loss times a factor.", {"factor", "float", 2, "the factor, not 0"},
                 {"name", "str", "scaled", "what it is logged as"}, {"fail", "str", {}, "what to throw"},
                 {"verbose", "bool", false, "does nothing"});
PYHOOKS_CALLBACK(mine::Quiet, "quiet", "Does nothing.");
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "my_hooks.cpp"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def hooks(source: Path) -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYHOOKS_CACHE", str(source.parent / "cache"))
        return pyhooks.load_plugin(source)


class TestNamespace:
    def test_holds_the_classes(self, hooks: Any, source: Path) -> None:
        assert isinstance(hooks, ModuleType)
        assert dir(hooks) == hooks.__all__ == ["Quiet", "Scaled"]
        assert repr(hooks) == f"<plugin my_hooks from {source}: Quiet, Scaled>"
        assert hooks.__torch__ == ""
        assert issubclass(hooks.Scaled, NativeCallback)

    def test_names_near_ones(self, hooks: Any) -> None:
        with pytest.raises(AttributeError) as caught:
            _ = hooks.Scalde
        says = "the plugin my_hooks has no class 'Scalde'; did you mean 'Scaled'? It has: Quiet, Scaled"
        assert str(caught.value) == says
        assert not hasattr(hooks, "__path__")

    def test_help(self, hooks: Any) -> None:
        text = pydoc.plain(pydoc.render_doc(hooks))
        for part in ("my_hooks", "Scaled: Logs the loss times a factor.", "class Quiet", "class Scaled"):
            assert part in text
        assert "Scaled(*, factor: float = 2.0, name: str = 'scaled', fail: str | None = None" in text
        assert "factor (float): the factor, not 0. Default: 2.0." in text

    def test_classes_are_listed_among_the_native_ones(self, hooks: Any) -> None:
        assert available()["my_hooks/scaled"] == "Logs the loss times a factor."
        assert NativeCallback("my_hooks/scaled", factor=3.0).events == ["on_train_batch_end"]

    def test_the_same_file_gives_the_same_classes(self, hooks: Any, source: Path) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PYHOOKS_CACHE", str(source.parent / "cache"))
            patched.chdir(source.parent)
            assert pyhooks.load_plugin("my_hooks.cpp") is hooks


class TestOptions:
    def test_signature(self, hooks: Any) -> None:
        parameters = inspect.signature(hooks.Scaled).parameters
        assert {name: p.default for name, p in parameters.items()} == {
            "factor": 2.0,
            "name": "scaled",
            "fail": None,
            "verbose": False,
        }
        assert [p.annotation for p in parameters.values()] == [float, str, str | None, bool]
        assert str(inspect.signature(hooks.Quiet)) == "()"

    def test_repr(self, hooks: Any) -> None:
        assert repr(hooks.Scaled(factor=3)) == "Scaled(factor=3)"
        assert repr(hooks.Quiet()) == "Quiet()"

    @pytest.mark.parametrize(
        ("options", "kind", "says"),
        [
            ({"facter": 1}, TypeError, "Scaled has no option 'facter'; did you mean 'factor'? Its options: factor=2"),
            ({"zzz": 1}, TypeError, "Scaled has no option 'zzz'. Its options: factor=2.0, name='scaled', fail=None"),
            ({"factor": "2"}, ValueError, "my_hooks/scaled: option 'factor' was given a str; it takes a float (the"),
            ({"verbose": 1}, ValueError, "my_hooks/scaled: option 'verbose' was given an int; it takes a bool"),
            ({"name": None}, ValueError, "my_hooks/scaled: option 'name' was given None; it takes a str"),
            (
                {"factor": 10**30},
                ValueError,
                "my_hooks/scaled: option 'factor' was given an int that is too large for 64",
            ),
            ({"factor": [1]}, TypeError, "my_hooks/scaled: option 'factor' is a list; wanted a bool, int, float, str"),
            ({"fail": "beta"}, ValueError, "Scaled: beta is 2; it must be below 1"),
            ({"fail": "int at once"}, CallbackError, "Scaled: an object of type int was thrown, which is no std::exc"),
            ({"factor": 0}, ValueError, "Scaled: factor is 0, it must be another number"),
        ],
    )
    def test_wrong_ones(self, hooks: Any, options: dict[str, Any], kind: type, says: str) -> None:
        with pytest.raises(kind) as caught:
            hooks.Scaled(**options)
        assert str(caught.value).startswith(says)

    def test_without_a_name(self, hooks: Any) -> None:
        with pytest.raises(TypeError, match=r"Scaled takes its options by name; got 3 without one\. They are: factor"):
            hooks.Scaled(3)

    def test_of_a_class_that_has_none(self, hooks: Any) -> None:
        with pytest.raises(TypeError, match=r"Quiet has no option 'factor'\. Its options: none"):
            hooks.Quiet(factor=1)


class TestTraining:
    def test_sees_every_batch(self, hooks: Any) -> None:
        trainer = trainer_of(callbacks=[hooks.Scaled(factor=3), hooks.Scaled(name="twice"), hooks.Quiet()])
        trainer.fit(points(24), epochs=2, batch_size=8)
        batch = trainer.history.batch
        assert (batch["scaled"] == 3 * batch["loss"]).all() and (batch["twice"] == 2 * batch["loss"]).all()
        assert [info["label"] for info in trainer.callback_stats()] == ["Scaled", "Scaled", "Quiet"]

    @pytest.mark.parametrize("kind", [ValueError, IndexError, MemoryError, CallbackError])
    def test_exceptions_arrive_as_their_kinds(self, hooks: Any, kind: type[Exception]) -> None:
        recorder = Recorder()
        trainer = trainer_of(callbacks=[hooks.Scaled(fail=kind.__name__), recorder])
        with pytest.raises(kind) as caught:
            trainer.fit(points(24), epochs=2, batch_size=8)
        assert type(caught.value) is kind
        assert kind is MemoryError or "wrong here" in str(caught.value)
        assert recorder.names[-2:] == ["on_exception", "teardown"]

    @pytest.mark.parametrize(
        ("fail", "kind", "says"),
        [
            ("int", CallbackError, "an object of type int was thrown, which is no std::exception: throw std::"),
            ("param", IndexError, "parameter 99 asked for, but the model has 2 trained parameters"),
            ("lr", ValueError, "set_lr was given -1; a learning rate is a finite number, 0 or more"),
        ],
    )
    def test_what_is_wrong_in_a_call_is_said_with_its_place(
        self, hooks: Any, fail: str, kind: type[Exception], says: str
    ) -> None:
        with pytest.raises(kind) as caught:
            trainer_of(callbacks=[hooks.Scaled(fail=fail)]).fit(points(24), epochs=2, batch_size=8)
        assert type(caught.value) is kind and str(caught.value).startswith(says)
        assert str(caught.value).endswith(" (in epoch 0, batch 0, in callback Scaled at on_train_batch_end)")

    def test_two_that_log_one_column_are_told(self, hooks: Any) -> None:
        trainer = trainer_of(callbacks=[hooks.Scaled(), hooks.Scaled(factor=3), hooks.Scaled(name="other")])
        with pytest.warns(UserWarning) as caught:
            trainer.fit(points(24), epochs=1, batch_size=8)
        (said,) = [str(warning.message) for warning in caught]
        assert said.startswith(
            "Scaled and Scaled#2 both log 'scaled': only what the later one logs is kept. Let one of"
        )

    @pytest.mark.parametrize("events", [["on_val_batch_end"], ["on_train_start", "on_fit_epoch_end"]])
    def test_two_that_log_one_name_into_different_places_are_not(self, events: list[str]) -> None:
        first = {"native": True, "key": "A", "logs": ["x", "y"], "events": ["on_train_start", "on_backward_end"]}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_shared_columns([first, {**first, "key": "B", "events": events}])
        with pytest.warns(UserWarning, match="^A and B both log 'x', 'y': only"):
            warn_of_shared_columns([first, {**first, "key": "B", "events": [*events, "on_train_batch_end"]}])

    def test_a_class_instead_of_an_object(self, hooks: Any) -> None:
        with pytest.raises(TypeError, match=r"got the class Scaled, wanted an object of it: Scaled\(\.\.\.\)"):
            trainer_of(callbacks=[hooks.Scaled])


class TestWhatCannotBeLoaded:
    @pytest.mark.parametrize(
        ("source", "kind", "says"),
        [
            (3, TypeError, "load_plugin got an int; wanted a path, or the name of an installed plugin"),
            ("gone.cpp", FileNotFoundError, "no such plugin file: .*/gone.cpp"),
            ("gone/libgone.so", FileNotFoundError, "no such plugin file: .*/gone/libgone.so"),
            (__file__, PluginError, r"is neither a source \(.cpp, .cc, .cxx\) nor a shared library \(.so\)"),
            ("my_hocks", PluginError, "no plugin 'my_hocks'. No installed package offers one. A plugin of your own"),
        ],
    )
    def test_says_what_was_wanted(self, source: Any, kind: type, says: str) -> None:
        with pytest.raises(kind, match=says):
            pyhooks.load_plugin(source)

    def test_a_library_that_is_none(self) -> None:
        library = Path(torch.__file__).parent / "lib" / "libtorch_global_deps.so"
        with pytest.raises(PluginError, match="is no pyhooks plugin: it exports no"):
            pyhooks.load_plugin(library)

    def test_a_file_that_is_no_library(self, tmp_path: Path) -> None:
        (tmp_path / "libtext.so").write_text("some text")
        with pytest.raises(PluginError, match=r"libtext.so cannot be loaded: .* This pyhooks has plugin ABI \d"):
            pyhooks.load_plugin(tmp_path / "libtext.so")

    def test_flags_for_what_is_compiled_already(self, tmp_path: Path) -> None:
        (tmp_path / "libtext.so").touch()
        for source in (tmp_path / "libtext.so", "my_hooks"):
            with pytest.raises(TypeError, match="flags are for a plugin's source, one that is compiled"):
                pyhooks.load_plugin(source, flags=["-O3"])


def offer(folder: Path, package: str, entry_points: dict[str, str], module: str = "") -> None:
    """Make an installed package of one module, that offers plugins, in a folder of sys.path."""
    information = folder / f"{package}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (information / "entry_points.txt").write_text("\n".join(["[pyhooks.plugins]", *lines]))
    (folder / f"{package}.py").write_text(module)


class TestInstalled:
    @pytest.fixture(autouse=True)
    def on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(tmp_path))

    def test_are_loaded_by_name(self, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        module = f"from pathlib import Path\nfile = {str(source)!r}\ndef find():\n    return Path(file)\n"
        offer(tmp_path, "offering", {"offered": "offering:find", "second": "offering:file"}, module)
        monkeypatch.setenv("PYHOOKS_CACHE", str(source.parent / "cache"))
        assert plugins.installed() == {"offered": "offering 1.0", "second": "offering 1.0"}
        hooks = pyhooks.load_plugin("offered")
        assert hooks.Scaled().name == "offered/scaled"
        assert pyhooks.load_plugin("offered") is hooks
        assert pyhooks.load_plugin("second").Scaled is not hooks.Scaled

    def test_near_names(self, tmp_path: Path) -> None:
        offer(tmp_path, "offering_some", {"offered": "offering_some:file"})
        with pytest.raises(PluginError, match=r"'ofered'; did you mean 'offered'\? Installed packages offer: off"):
            pyhooks.load_plugin("ofered")

    def test_that_name_no_file(self, tmp_path: Path) -> None:
        offer(tmp_path, "offering_none", {"offered": "offering_none:file"}, "file = 3")
        with pytest.raises(PluginError, match=r"'offered' of offering_none 1.0 \(offering_none:file\) is an int"):
            pyhooks.load_plugin("offered")

    def test_that_two_packages_offer(self, tmp_path: Path) -> None:
        for package in ("offering_one", "offering_two"):
            offer(tmp_path, package, {"offered": f"{package}:file"})
        with pytest.raises(PluginError, match=r"offering_(one|two) 1.0 and offering_(one|two) 1.0 both offer a"):
            pyhooks.load_plugin("offered")


def test_paths_for_compilers() -> None:
    assert (Path(pyhooks.get_include()) / "pyhooks" / "plugin.h").is_file()
    assert (Path(pyhooks.cmake_prefix_path) / "share" / "cmake" / "pyhooks" / "pyhooksConfig.cmake").is_file()
