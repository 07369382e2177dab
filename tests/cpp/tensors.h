#pragma once
// Small CPU tensors from and to plain numbers.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

/// A contiguous tensor of these values; 1-D unless sizes are given.
template <class T>
at::Tensor tensor(const std::vector<T>& values, std::vector<std::int64_t> sizes = {-1}) {
  if (sizes == std::vector<std::int64_t>{-1}) sizes = {static_cast<std::int64_t>(values.size())};
  at::Tensor made = at::empty(sizes, c10::CppTypeToScalarType<T>::value);
  std::copy(values.begin(), values.end(), made.mutable_data_ptr<T>());
  return made;
}

inline at::Tensor floats(const std::vector<float>& values, std::vector<std::int64_t> sizes = {-1}) {
  return tensor<float>(values, std::move(sizes));
}

/// The values of a tensor of that type.
template <class T>
std::vector<T> values(const at::Tensor& of) {
  const at::Tensor dense = of.contiguous();
  const T* data = dense.const_data_ptr<T>();
  return {data, data + dense.numel()};
}

inline float value(const at::Tensor& of) { return *of.const_data_ptr<float>(); }
