#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include "check.h"
#include "compare.h"
#include "files/checkpoint_file.h"
#include "files/crc32.h"
#include "pyhooks/errors.h"
#include "scratch.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

std::string why_not(const std::filesystem::path& path) {
  try {
    read_checkpoint(path);
    return "";
  } catch (const CheckpointError& error) {
    return error.what();
  }
}

}  // namespace

TEST(checkpoint_file_brings_tensors_and_meta_back) {
  const Scratch folder;
  const TensorMap tensors{{"weight", floats({1, -2, 3, 4, 5, 6}, {2, 3})},
                          {"count", tensor<std::int64_t>({7}, {})},
                          {"empty", at::empty({0, 5}, at::kByte)},
                          {"half", floats({0.5}).to(at::kBFloat16)},
                          {"flag", floats({0, 1}).to(at::kBool)}};
  const Json meta = Json::Object{{"epoch", std::int64_t{3}}, {"name", "gr\u00fcn"}, {"best", HUGE_VAL}};
  write_checkpoint(folder / "last.safetensors", {tensors, meta});
  const Checkpoint read = read_checkpoint(folder / "last.safetensors");
  CHECK(read.meta == meta);
  CHECK(read.tensors.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CHECK(at::equal(read.tensors.at(name), tensor));
    CHECK(read.tensors.at(name).scalar_type() == tensor.scalar_type());
  }
}

TEST(checkpoint_file_writes_strided_tensors_out) {
  const Scratch folder;
  const at::Tensor turned = floats({1, 2, 3, 4, 5, 6}, {2, 3}).t();
  write_checkpoint(folder / "a", {{{"turned", turned}, {"row", turned[1]}}, Json::Object()});
  const Checkpoint read = read_checkpoint(folder / "a");
  CHECK(at::equal(read.tensors.at("turned"), turned));
  CHECK(values<float>(read.tensors.at("row")) == std::vector<float>{2, 5});
}

TEST(checkpoint_file_shows_any_flipped_bit) {
  const Scratch folder;
  write_checkpoint(folder / "a", {{{"first", floats({1, 2})}, {"second", floats({3})}}, Json::Object{{"epoch", true}}});
  const std::string good = bytes_of(folder / "a");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    write_bytes(folder / "a", bad);
    CHECK(!why_not(folder / "a").empty());
  }
}

TEST(checkpoint_file_names_the_damaged_tensor) {
  const Scratch folder;
  write_checkpoint(folder / "a", {{{"first", floats({1})}, {"second", floats({3})}}, Json::Object()});
  std::string bytes = bytes_of(folder / "a");
  bytes.back() ^= 1;
  write_bytes(folder / "a", bytes);
  CHECK(says(why_not(folder / "a"), {"is damaged", "'second' does not match", "nothing was loaded"}));
}

TEST(checkpoint_file_refuses_what_is_cut_off) {
  const Scratch folder;
  write_checkpoint(folder / "a", {{{"w", at::zeros({100})}}, Json::Object()});
  const std::string whole = bytes_of(folder / "a");
  for (std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{50}, whole.size() - 1}) {
    write_bytes(folder / "a", whole.substr(0, size));
    CHECK(says(why_not(folder / "a"), {"not a whole safetensors file"}));
  }
}

TEST(checkpoint_file_refuses_strangers_and_newer_formats) {
  const Scratch folder;
  write_safetensors(folder / "a", {{{"w", floats({1})}}, {}});
  CHECK(says(why_not(folder / "a"), {"pyhooks did not write it"}));
  const std::string text = R"({"format": 99, "crc32": {}, "meta": {}})";
  write_safetensors(folder / "b", {{}, {{"pyhooks", text}, {"pyhooks_crc32", std::to_string(crc32(text))}}});
  CHECK(says(why_not(folder / "b"), {"format 99", "upgrade pyhooks"}));
  CHECK(says(why_not(folder / "none"), {"cannot open", "none", "No such file"}));
}

TEST(safetensors_header_that_lies_is_refused) {
  const Scratch folder;
  const auto with_header = [&](const std::string& header) {
    const std::uint64_t length = header.size();
    std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
    write_bytes(folder / "a", bytes + header + std::string(8, '\0'));
    try {
      read_safetensors(folder / "a");
      return std::string();
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
  };
  CHECK(with_header(R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})").empty());
  CHECK(says(with_header(R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})"), {"do not fit"}));
  CHECK(says(with_header(R"({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})"), {"do not fill"}));
  CHECK(says(with_header(R"({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})"), {"does not begin"}));
  CHECK(says(with_header(R"({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}})"), {"do not fit"}));
  CHECK(says(with_header(R"({"w": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}})"),
             {"a shape that the file cannot hold"}));
  CHECK(says(with_header(R"({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}})"),
             {"a shape that the file cannot hold"}));
  CHECK(says(with_header(R"({"w": {"dtype": "Q4", "shape": [1], "data_offsets": [0, 8]}})"), {"'Q4'"}));
  CHECK(says(with_header(R"({"w": {"dtype": "F32"}})"), {"'shape'"}));
}

TEST(checkpoint_file_refuses_tensors_it_cannot_hold) {
  const Scratch folder;
  CHECK_THROWS(write_checkpoint(folder / "a", {{{"w", floats({1, 0}).to_sparse()}}, Json::Object()}), CheckpointError);
  CHECK_THROWS(write_checkpoint(folder / "a", {{{"w", at::Tensor()}}, Json::Object()}), CheckpointError);
  CHECK_THROWS(write_checkpoint(folder / "a", {{{"w", floats({1}).to(at::kComplexDouble)}}, Json::Object()}),
               CheckpointError);
  CHECK(folder.files().empty());
}
