#include "engines/schema.h"

#include <ATen/ScalarOps.h>
#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>

#include <algorithm>
#include <stdexcept>

namespace pyhooks {

namespace {

c10::IValue wrapped_number(const c10::Scalar& number) {
  at::Tensor tensor = at::scalar_tensor(number, at::TensorOptions().dtype(number.type()));
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

template <class T>
c10::IValue list_of(const std::vector<c10::IValue>& items, T (*convert)(const c10::IValue&)) {
  c10::List<T> list;
  list.reserve(items.size());
  for (const c10::IValue& item : items) list.push_back(convert(item));
  return list;
}

std::int64_t to_int(const c10::IValue& value) { return value.toInt(); }
bool to_bool(const c10::IValue& value) { return value.toBool(); }
double to_double(const c10::IValue& value) {
  return value.isInt() ? static_cast<double>(value.toInt()) : value.toDouble();
}

c10::IValue list_for(const std::vector<c10::IValue>& items, const c10::TypePtr& element) {
  switch (element->kind()) {
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return list_of<std::int64_t>(items, to_int);
    case c10::TypeKind::BoolType:
      return list_of<bool>(items, to_bool);
    case c10::TypeKind::FloatType:
      return list_of<double>(items, to_double);
    case c10::TypeKind::TensorType:
      if (items.empty()) return c10::List<at::Tensor>();
      [[fallthrough]];
    default: {
      c10::impl::GenericList list(element);
      for (const c10::IValue& item : items) list.push_back(item);
      return list;
    }
  }
}

c10::IValue scalar_for(const c10::IValue& value, const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return value.isTensor() ? value : wrapped_number(value.toScalar());
    case c10::TypeKind::FloatType:
      return to_double(value);
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return value.isBool() ? c10::IValue(static_cast<std::int64_t>(value.toBool())) : value;
    default:
      return value;
  }
}

}  // namespace

c10::TypePtr without_optional(const c10::TypePtr& type) {
  auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

bool has_register(const Arg& arg) {
  return arg.kind == Arg::Kind::reg || std::any_of(arg.items.begin(), arg.items.end(), has_register);
}

c10::IValue constant_for(const Arg& arg, const c10::Argument& wanted) {
  const c10::TypePtr type = without_optional(wanted.real_type());
  auto list = type->cast<c10::ListType>();
  if (arg.kind != Arg::Kind::list) {
    if (arg.value.isNone()) return arg.value;
    if (!list) return scalar_for(arg.value, type);
    // `kernel_size=3` for int[2]: the same value for each element
    return list_for(std::vector<c10::IValue>(static_cast<std::size_t>(wanted.N().value_or(1)), arg.value),
                    list->getElementType());
  }
  if (!list) throw std::invalid_argument("a list for argument '" + wanted.name() + "', which is " + type->repr_str());
  std::vector<c10::IValue> items;
  for (const Arg& item : arg.items) items.push_back(item.value);
  return list_for(items, list->getElementType());
}

}  // namespace pyhooks
