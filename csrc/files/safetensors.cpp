// The format: the header's length as a little-endian 64-bit number, a JSON header, the tensors' bytes without gaps.
#include "files/safetensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "files/atomic_file.h"
#include "files/json.h"
#include "pyhooks/errors.h"

namespace pyhooks {

namespace {

struct TypeName {
  at::ScalarType type;
  const char* name;
};

constexpr TypeName kTypes[] = {
    {at::kDouble, "F64"},
    {at::kFloat, "F32"},
    {at::kHalf, "F16"},
    {at::kBFloat16, "BF16"},
    {at::kLong, "I64"},
    {at::kInt, "I32"},
    {at::kShort, "I16"},
    {at::kChar, "I8"},
    {at::kByte, "U8"},
    {at::kBool, "BOOL"},
    {at::kComplexFloat, "C64"},
    {at::kUInt64, "U64"},
    {at::kUInt32, "U32"},
    {at::kUInt16, "U16"},
    {at::kFloat8_e4m3fn, "F8_E4M3"},
    {at::kFloat8_e4m3fnuz, "F8_E4M3FNUZ"},
    {at::kFloat8_e5m2, "F8_E5M2"},
    {at::kFloat8_e5m2fnuz, "F8_E5M2FNUZ"},
};

const char* name_of(const std::string& tensor, at::ScalarType type) {
  for (const TypeName& known : kTypes)
    if (known.type == type) return known.name;
  throw CheckpointError("tensor '" + tensor + "' is " + c10::toString(type) + ", which a safetensors file cannot hold");
}

at::ScalarType type_of(const std::string& name) {
  for (const TypeName& known : kTypes)
    if (name == known.name) return known.type;
  throw std::invalid_argument("no tensor type '" + name + "' is known");
}

// Wide elements first, so that every tensor lies aligned.
std::vector<TensorMap::const_iterator> in_order(const TensorMap& tensors) {
  std::vector<TensorMap::const_iterator> order;
  for (auto tensor = tensors.begin(); tensor != tensors.end(); ++tensor) order.push_back(tensor);
  std::stable_sort(order.begin(), order.end(),
                   [](auto a, auto b) { return a->second.element_size() > b->second.element_size(); });
  return order;
}

std::string header_of(const TensorFile& file, const std::vector<TensorMap::const_iterator>& order) {
  Json::Object header;
  Json::Object metadata;
  for (const auto& [key, value] : file.metadata) metadata.emplace_back(key, value);
  if (!metadata.empty()) header.emplace_back("__metadata__", std::move(metadata));
  std::int64_t end = 0;
  for (auto item : order) {
    const auto& [name, tensor] = *item;
    Json::Array shape;
    for (std::int64_t size : tensor.sizes()) shape.push_back(size);
    const std::int64_t start = end;
    end += static_cast<std::int64_t>(tensor.nbytes());
    Json::Object entry{{"dtype", name_of(name, tensor.scalar_type())},
                       {"shape", std::move(shape)},
                       {"data_offsets", Json::Array{start, end}}};
    header.emplace_back(name, std::move(entry));
  }
  std::string text = Json(std::move(header)).dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

/// A tensor's place in the file, counted from the header's end.
struct Entry {
  std::string name;
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::int64_t start;
  std::int64_t end;
};

// The bytes a tensor takes; refuses shapes that no file of `most` bytes can hold.
std::int64_t bytes_of(const Entry& entry, std::int64_t most) {
  auto bytes = static_cast<std::int64_t>(c10::elementSize(entry.type));
  const bool empty = std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end();
  for (std::int64_t size : entry.shape)
    if (size < 0 || (!empty && __builtin_mul_overflow(bytes, size, &bytes)) || (!empty && bytes > most))
      throw std::invalid_argument("tensor '" + entry.name + "' has a shape that the file cannot hold");
  return empty ? 0 : bytes;
}

std::vector<Entry> entries_of(const Json& header, std::int64_t data_bytes) {
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.object()) {
    if (name == "__metadata__") continue;
    Entry entry{name, type_of(value.at("dtype").string()), {}, 0, 0};
    for (const Json& size : value.at("shape").array()) entry.shape.push_back(size.integer());
    const Json::Array& offsets = value.at("data_offsets").array();
    if (offsets.size() != 2) throw std::invalid_argument("tensor '" + name + "' has no two offsets");
    entry.start = offsets[0].integer();
    entry.end = offsets[1].integer();
    if (entry.start < 0 || entry.end > data_bytes || entry.end - entry.start != bytes_of(entry, data_bytes))
      throw std::invalid_argument("the offsets of tensor '" + name + "' do not fit its shape or the file");
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::pair(a.start, a.end) < std::pair(b.start, b.end); });
  std::int64_t next = 0;
  for (const Entry& entry : entries)
    if (entry.start != std::exchange(next, entry.end))
      throw std::invalid_argument("tensor '" + entry.name + "' does not begin where the one before it ends");
  if (next != data_bytes) throw std::invalid_argument("the tensors do not fill the file");
  return entries;
}

void read_bytes(std::ifstream& in, void* to, std::size_t bytes) {
  if (!in.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)))
    throw std::invalid_argument("it ends too early");
}

TensorFile read(std::ifstream& in, std::int64_t file_bytes) {
  std::uint64_t length = 0;
  read_bytes(in, &length, sizeof length);
  if (length > static_cast<std::uint64_t>(file_bytes) - sizeof length)
    throw std::invalid_argument("its header is longer than the file");
  std::string text(length, ' ');
  read_bytes(in, text.data(), text.size());
  const Json header = Json::parse(text);
  TensorFile file;
  if (const Json* metadata = header.find("__metadata__"))
    for (const auto& [key, value] : metadata->object()) file.metadata[key] = value.string();
  const std::int64_t data_bytes = file_bytes - static_cast<std::int64_t>(sizeof length + length);
  for (const Entry& entry : entries_of(header, data_bytes)) {
    at::Tensor tensor = at::empty(entry.shape, entry.type);
    read_bytes(in, tensor.mutable_data_ptr(), static_cast<std::size_t>(entry.end - entry.start));
    file.tensors.emplace(entry.name, std::move(tensor));
  }
  return file;
}

}  // namespace

at::Tensor plain_tensor(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.is_quantized())
    throw CheckpointError("tensor '" + name + "' is not dense; convert it first (to_dense(), dequantize())");
  return tensor.detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous();
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  const std::vector<TensorMap::const_iterator> order = in_order(file.tensors);
  const std::string header = header_of(file, order);
  const std::uint64_t length = header.size();
  AtomicFile out(path);
  out.write(&length, sizeof length);
  out.write(header.data(), header.size());
  for (auto item : order) out.write(item->second.const_data_ptr(), item->second.nbytes());
  out.commit();
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw CheckpointError("cannot open " + path.string() + ": " + std::strerror(errno));
  try {
    return read(in, static_cast<std::int64_t>(std::filesystem::file_size(path)));
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(path.string() + " is not a whole safetensors file: " + error.what());
  }
}

}  // namespace pyhooks
