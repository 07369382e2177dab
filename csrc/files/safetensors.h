#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace pyhooks {

using TensorMap = std::map<std::string, at::Tensor>;

/// What a safetensors file holds: tensors, and words beside them.
struct TensorFile {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
};

/// The tensor as a file holds it: on the CPU, contiguous. Throws CheckpointError if it is not dense.
at::Tensor plain_tensor(const std::string& name, const at::Tensor& tensor);

/// Writes dense CPU tensors, each contiguous, as one safetensors file; atomically (see AtomicFile).
/// Throws CheckpointError for a tensor whose type the format does not have.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file);

/// Reads a whole safetensors file, tensors onto the CPU. Throws CheckpointError saying what is wrong with it.
TensorFile read_safetensors(const std::filesystem::path& path);

}  // namespace pyhooks
