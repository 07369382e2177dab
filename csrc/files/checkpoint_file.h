#pragma once

#include <filesystem>

#include "files/json.h"
#include "files/safetensors.h"

namespace pyhooks {

/// What a checkpoint file holds.
struct Checkpoint {
  TensorMap tensors;
  Json meta;
};

/// Writes the file that pyhooks/checkpoint.py reads: safetensors, with JSON and a CRC-32 of every tensor in its metadata;
/// atomically. Tensors of any device and strides. Throws CheckpointError for a tensor that is not dense.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Reads such a file and verifies every checksum; tensors come onto the CPU. Throws CheckpointError if it is missing,
/// damaged (the message names the tensor), or not one of ours.
Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace pyhooks
