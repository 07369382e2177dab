#include "pyhooks/plugin.h"

/// Called as a built-in class is: each is its own.
struct NaNGuard final : pyhooks::Callback {
  void on_train_start(pyhooks::Context& ctx) override { ctx.log("guarded", 0); }
};

PYHOOKS_CALLBACK(NaNGuard, "nan_guard", "Has no options, and no constructor of its own.");
