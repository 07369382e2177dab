#include "files/checkpoint_file.h"

#include "files/crc32.h"
#include "pyhooks/errors.h"

namespace pyhooks {

namespace {

constexpr std::int64_t kFormat = 1;
constexpr const char* kKey = "pyhooks";
constexpr const char* kCrcKey = "pyhooks_crc32";

// As _crc of pyhooks/checkpoint.py, which writes types and shapes as Python prints them.
std::uint32_t crc_of(const std::string& name, const at::Tensor& tensor) {
  std::string text = name + " torch." + std::string(c10::getDtypeNames(tensor.scalar_type()).first) + " [";
  for (std::int64_t i = 0; i < tensor.dim(); ++i) text += (i ? ", " : "") + std::to_string(tensor.size(i));
  const std::uint32_t seed = crc32(text + "]");
  return tensor.numel() ? crc32(tensor.const_data_ptr(), tensor.nbytes(), seed) : seed;
}

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& what) {
  throw CheckpointError("checkpoint " + path.string() + " is damaged: " + what +
                        "; nothing was loaded. Use another checkpoint (best.safetensors or last.safetensors beside it) "
                        "or copy this one again from where it was written");
}

Json document_of(const std::filesystem::path& path, const TensorFile& file) {
  const auto text = file.metadata.find(kKey);
  const auto sum = file.metadata.find(kCrcKey);
  if (text == file.metadata.end())
    throw CheckpointError(path.string() + " is a safetensors file, but pyhooks did not write it");
  if (sum == file.metadata.end() || sum->second != std::to_string(crc32(text->second)))
    damaged(path, "the checksum of its metadata does not match");
  Json document = Json::parse(text->second);
  if (const std::int64_t format = document.at("format").integer(); format > kFormat)
    throw CheckpointError(path.string() + " has checkpoint format " + std::to_string(format) +
                          ", this pyhooks reads up to " + std::to_string(kFormat) + "; upgrade pyhooks");
  return document;
}

void verify(const std::filesystem::path& path, const TensorMap& tensors, const Json& sums) {
  for (const auto& [name, sum] : sums.object())
    if (!tensors.contains(name)) damaged(path, "tensor '" + name + "' is missing");
  for (const auto& [name, tensor] : tensors) {
    const Json* sum = sums.find(name);
    if (!sum) damaged(path, "tensor '" + name + "' is not in its list of checksums");
    if (sum->integer() != crc_of(name, tensor)) damaged(path, "the checksum of tensor '" + name + "' does not match");
  }
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  TensorFile file;
  Json::Object sums;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const at::Tensor dense = file.tensors[name] = plain_tensor(name, tensor);
    sums.emplace_back(name, static_cast<std::int64_t>(crc_of(name, dense)));
  }
  const Json::Object document{{"format", kFormat}, {"crc32", std::move(sums)}, {"meta", checkpoint.meta}};
  const std::string text = Json(document).dump();
  file.metadata = {{kKey, text}, {kCrcKey, std::to_string(crc32(text))}};
  write_safetensors(path, file);
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  TensorFile file = read_safetensors(path);
  const Json document = document_of(path, file);
  verify(path, file.tensors, document.at("crc32"));
  return {std::move(file.tensors), document.at("meta")};
}

}  // namespace pyhooks
