#pragma once

/// Rises with every change to the classes in these headers that a compiled plugin would notice.
#ifndef PYHOOKS_ABI_VERSION  // a test builds plugins "of another pyhooks"
#define PYHOOKS_ABI_VERSION 2
#endif

/// The torch whose headers are at hand, as "2.13.0"; "" where there are none.
#ifndef PYHOOKS_TORCH_VERSION
#if __has_include(<torch/headeronly/version.h>)
#include <torch/headeronly/version.h>  // numbers only: costs nothing
#define PYHOOKS_TORCH_VERSION TORCH_VERSION
#else
#define PYHOOKS_TORCH_VERSION ""
#endif
#endif
