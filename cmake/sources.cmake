# All sources, one list a room. This is the only place that names them.

set(PYHOOKS_CORE_SOURCES
  csrc/core/batch_loop.cpp
  csrc/core/column.cpp
  csrc/core/dispatcher.cpp
  csrc/core/epoch_sums.cpp
  csrc/core/loop.cpp
  csrc/core/loop_host.cpp
  csrc/core/recorder.cpp
  csrc/core/registry.cpp
  csrc/core/signals.cpp
  csrc/core/state_map.cpp
  csrc/core/tap.cpp
)

set(PYHOOKS_ENGINES_SOURCES
  csrc/engines/graph_engine.cpp
  csrc/engines/plan.cpp
  csrc/engines/rng_ops.cpp
  csrc/engines/schema.cpp
  csrc/engines/tap_ops.cpp
)

set(PYHOOKS_OPTIM_SOURCES
  csrc/optim/fused.cpp
  csrc/optim/fused_kernels.cpp
)

set(PYHOOKS_DATA_SOURCES
  csrc/data/prefetch.cpp
  csrc/data/tensor_source.cpp
)

set(PYHOOKS_CALLBACKS_SOURCES
  csrc/callbacks/activation_stats.cpp
  csrc/callbacks/grad_clip.cpp
  csrc/callbacks/grad_noise.cpp
  csrc/callbacks/grad_scale.cpp
  csrc/callbacks/grad_stats.cpp
  csrc/callbacks/loss_meter.cpp
  csrc/callbacks/nan_guard.cpp
)

set(PYHOOKS_CUDA_SOURCES
)

set(PYHOOKS_BINDINGS_SOURCES
  csrc/bindings/bind_callbacks.cpp
  csrc/bindings/bind_data.cpp
  csrc/bindings/bind_engines.cpp
  csrc/bindings/bind_loop.cpp
  csrc/bindings/bind_optimizers.cpp
  csrc/bindings/bind_plan.cpp
  csrc/bindings/bind_taps.cpp
  csrc/bindings/errors.cpp
  csrc/bindings/module.cpp
  csrc/bindings/python_callback.cpp
)

set(PYHOOKS_TEST_SOURCES
  tests/cpp/main.cpp
  tests/cpp/test_callbacks.cpp
  tests/cpp/test_dispatcher.cpp
  tests/cpp/test_dispatcher_changes.cpp
  tests/cpp/test_dispatcher_manners.cpp
  tests/cpp/test_events.cpp
  tests/cpp/test_fused.cpp
  tests/cpp/test_graph_engine.cpp
  tests/cpp/test_loop_errors.cpp
  tests/cpp/test_loop_events.cpp
  tests/cpp/test_loop_metrics.cpp
  tests/cpp/test_loop_requests.cpp
  tests/cpp/test_loop_stops.cpp
  tests/cpp/test_loop_updates.cpp
  tests/cpp/test_plan.cpp
  tests/cpp/test_plan_errors.cpp
  tests/cpp/test_prefetch.cpp
  tests/cpp/test_recorder.cpp
  tests/cpp/test_registry.cpp
  tests/cpp/test_signals.cpp
  tests/cpp/test_snapshot.cpp
  tests/cpp/test_state.cpp
  tests/cpp/test_tap.cpp
  tests/cpp/test_tap_ops.cpp
  tests/cpp/test_tensor_hooks.cpp
  tests/cpp/test_tensor_source.cpp
)

set(PYHOOKS_FUZZ_SOURCES
  tests/cpp/fuzz_dispatch.cpp
)

set(PYHOOKS_BENCH_SOURCES
  benchmarks/cpp/bench_dispatch.cpp
)

# With the adapter that is timed: _C does not export it.
set(PYHOOKS_BENCH_PYTHON_SOURCES
  benchmarks/cpp/bench_python.cpp
  csrc/bindings/python_callback.cpp
)
