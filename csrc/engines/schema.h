#pragma once

#include <ATen/core/function_schema.h>

#include "engines/program.h"

namespace pyhooks {

/// The constant as an operator's schema wants it: numbers for Tensor slots become wrapped numbers (which do not take part in
/// type promotion), ints become floats where floats are wanted, lists get their element type. Throws
/// std::invalid_argument if it does not fit.
c10::IValue constant_for(const Arg& arg, const c10::Argument& wanted);

/// Whether the argument holds a register, itself or in its items.
bool has_register(const Arg& arg);

/// The type inside Optional[...], or the type itself.
c10::TypePtr without_optional(const c10::TypePtr& type);

}  // namespace pyhooks
