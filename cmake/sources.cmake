# All sources, one list a room. This is the only place that names them.

set(PYHOOKS_CORE_SOURCES
  csrc/core/batch_loop.cpp
  csrc/core/c_callback.cpp
  csrc/core/column.cpp
  csrc/core/dispatcher.cpp
  csrc/core/epoch_sums.cpp
  csrc/core/loop.cpp
  csrc/core/loop_host.cpp
  csrc/core/plugin_loader.cpp
  csrc/core/recorder.cpp
  csrc/core/registry.cpp
  csrc/core/signals.cpp
  csrc/core/state_map.cpp
  csrc/core/tap.cpp
)

set(PYHOOKS_FILES_SOURCES
  csrc/files/atomic_file.cpp
  csrc/files/checkpoint_file.cpp
  csrc/files/crc32.cpp
  csrc/files/json.cpp
  csrc/files/json_reader.cpp
  csrc/files/safetensors.cpp
)

set(PYHOOKS_ENGINES_SOURCES
  csrc/engines/cpp_engine.cpp
  csrc/engines/graph_engine.cpp
  csrc/engines/plan.cpp
  csrc/engines/program_json.cpp
  csrc/engines/rng_ops.cpp
  csrc/engines/schema.cpp
  csrc/engines/tap_ops.cpp
)

set(PYHOOKS_OPTIM_SOURCES
  csrc/optim/fused.cpp
  csrc/optim/fused_kernels.cpp
  csrc/optim/options.cpp
)

set(PYHOOKS_DATA_SOURCES
  csrc/data/prefetch.cpp
  csrc/data/tensor_source.cpp
)

set(PYHOOKS_TRAINER_SOURCES
  csrc/trainer/callback_states.cpp
  csrc/trainer/checkpoint_saver.cpp
  csrc/trainer/exported_step.cpp
  csrc/trainer/fit.cpp
  csrc/trainer/interrupt.cpp
  csrc/trainer/metrics.cpp
  csrc/trainer/options.cpp
  csrc/trainer/resume.cpp
  csrc/trainer/trainer.cpp
)

set(PYHOOKS_CALLBACKS_SOURCES
  csrc/callbacks/activation_stats.cpp
  csrc/callbacks/ema.cpp
  csrc/callbacks/grad_clip.cpp
  csrc/callbacks/grad_noise.cpp
  csrc/callbacks/grad_noise_scale.cpp
  csrc/callbacks/grad_norm.cpp
  csrc/callbacks/grad_scale.cpp
  csrc/callbacks/grad_stats.cpp
  csrc/callbacks/loss_meter.cpp
  csrc/callbacks/loss_spike.cpp
  csrc/callbacks/lr_monitor.cpp
  csrc/callbacks/nan_guard.cpp
  csrc/callbacks/step_timer.cpp
  csrc/callbacks/swa.cpp
  csrc/callbacks/throughput.cpp
  csrc/callbacks/time_limit.cpp
)

set(PYHOOKS_TRIGGERS_SOURCES
  csrc/triggers/actions.cpp
  csrc/triggers/builder.cpp
  csrc/triggers/error.cpp
  csrc/triggers/functions.cpp
  csrc/triggers/grad_norm.cpp
  csrc/triggers/lexer.cpp
  csrc/triggers/machine.cpp
  csrc/triggers/names.cpp
  csrc/triggers/parser.cpp
  csrc/triggers/trigger.cpp
  csrc/triggers/window.cpp
)

set(PYHOOKS_CUDA_SOURCES
)

set(PYHOOKS_BINDINGS_SOURCES
  csrc/bindings/bind_c_callback.cpp
  csrc/bindings/bind_callbacks.cpp
  csrc/bindings/bind_data.cpp
  csrc/bindings/bind_engines.cpp
  csrc/bindings/bind_loop.cpp
  csrc/bindings/bind_optimizers.cpp
  csrc/bindings/bind_plan.cpp
  csrc/bindings/bind_plugins.cpp
  csrc/bindings/bind_taps.cpp
  csrc/bindings/errors.cpp
  csrc/bindings/module.cpp
  csrc/bindings/python_callback.cpp
)

set(PYHOOKS_TEST_SOURCES
  tests/cpp/main.cpp
  tests/cpp/test_atomic_file.cpp
  tests/cpp/test_averages.cpp
  tests/cpp/test_c_callback.cpp
  tests/cpp/test_callbacks.cpp
  tests/cpp/test_checkpoint_file.cpp
  tests/cpp/test_cpp_engine.cpp
  tests/cpp/test_crc32.cpp
  tests/cpp/test_dispatcher.cpp
  tests/cpp/test_dispatcher_changes.cpp
  tests/cpp/test_dispatcher_manners.cpp
  tests/cpp/test_dispatcher_wishes.cpp
  tests/cpp/test_events.cpp
  tests/cpp/test_exported_step.cpp
  tests/cpp/test_fused.cpp
  tests/cpp/test_graph_engine.cpp
  tests/cpp/test_guards.cpp
  tests/cpp/test_json.cpp
  tests/cpp/test_loop_errors.cpp
  tests/cpp/test_loop_events.cpp
  tests/cpp/test_loop_metrics.cpp
  tests/cpp/test_loop_requests.cpp
  tests/cpp/test_loop_stops.cpp
  tests/cpp/test_loop_updates.cpp
  tests/cpp/test_memory_copy.cpp
  tests/cpp/test_optimizer_options.cpp
  tests/cpp/test_plan.cpp
  tests/cpp/test_plan_errors.cpp
  tests/cpp/test_plugin_loader.cpp
  tests/cpp/test_prefetch.cpp
  tests/cpp/test_program_json.cpp
  tests/cpp/test_recorder.cpp
  tests/cpp/test_registry.cpp
  tests/cpp/test_signals.cpp
  tests/cpp/test_snapshot.cpp
  tests/cpp/test_state.cpp
  tests/cpp/test_tap.cpp
  tests/cpp/test_tap_ops.cpp
  tests/cpp/test_tensor_hooks.cpp
  tests/cpp/test_tensor_source.cpp
  tests/cpp/test_trainer.cpp
  tests/cpp/test_trainer_checkpoints.cpp
  tests/cpp/test_trigger_language.cpp
  tests/cpp/test_trigger_windows.cpp
  tests/cpp/test_triggers.cpp
  tests/cpp/test_watchers.cpp
)

set(PYHOOKS_FUZZ_SOURCES
  tests/cpp/fuzz_dispatch.cpp
)

# A library that the tests load.
set(PYHOOKS_TEST_PLUGIN_SOURCES
  tests/cpp/plugin_one.cpp
  tests/cpp/plugin_two.cpp
)

set(PYHOOKS_FUZZ_JSON_SOURCES
  tests/cpp/fuzz_json.cpp
)

# Each is a program of its own: pyhooks_<file's name>.
set(PYHOOKS_BENCH_SOURCES
  benchmarks/cpp/bench_builtins.cpp
  benchmarks/cpp/bench_dispatch.cpp
  benchmarks/cpp/bench_kinds.cpp
)

# With the adapter that is timed: _C does not export it.
set(PYHOOKS_BENCH_PYTHON_SOURCES
  benchmarks/cpp/bench_python.cpp
  csrc/bindings/python_callback.cpp
)
