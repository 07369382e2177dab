#pragma once

/// Rises with every change to the classes in these headers that a compiled plugin would notice.
#define PYHOOKS_ABI_VERSION 2
