#include "engines/program_json.h"

#include <stdexcept>

namespace pyhooks {

namespace {

template <class T>
struct Named {
  const char* name;
  T value;
};

constexpr Named<at::Layout> kLayouts[] = {
    {"strided", at::kStrided},      {"sparse_coo", at::kSparse},    {"sparse_csr", at::kSparseCsr},
    {"sparse_csc", at::kSparseCsc}, {"sparse_bsr", at::kSparseBsr}, {"sparse_bsc", at::kSparseBsc},
    {"jagged", at::kJagged},
};

constexpr Named<at::MemoryFormat> kMemoryFormats[] = {
    {"contiguous_format", at::MemoryFormat::Contiguous},
    {"preserve_format", at::MemoryFormat::Preserve},
    {"channels_last", at::MemoryFormat::ChannelsLast},
    {"channels_last_3d", at::MemoryFormat::ChannelsLast3d},
};

template <class T, std::size_t n>
std::int64_t find(const Named<T> (&all)[n], const std::string& name) {
  for (const Named<T>& known : all)
    if (name == known.name) return static_cast<std::int64_t>(known.value);
  throw std::invalid_argument("the program holds '" + name + "', which this torch does not know");
}

std::int64_t dtype(const std::string& name) {
  const auto& all = c10::getStringToDtypeMap();
  const auto found = all.find(name);
  if (found == all.end())
    throw std::invalid_argument("the program holds the dtype '" + name + "', which this torch does not know");
  return static_cast<std::int64_t>(found->second);
}

// A constant that JSON has no kind for: an object of one member, whose name says what it is.
c10::IValue special(const std::string& kind, const Json& value) {
  if (kind == "dtype") return dtype(value.string());
  if (kind == "layout") return find(kLayouts, value.string());
  if (kind == "memory_format") return find(kMemoryFormats, value.string());
  if (kind == "device") return c10::Device(value.string());
  if (kind == "complex") return c10::complex<double>(value.array().at(0).number(), value.array().at(1).number());
  throw std::invalid_argument("the program holds a '" + kind + "', which this pyhooks does not know");
}

c10::IValue constant(const Json& json) {
  if (json.is_null()) return {};
  if (json.is_bool()) return json.boolean();
  if (json.is_integer()) return json.integer();
  if (json.is_float()) return json.number();
  return json.string();
}

std::vector<int> ints(const Json& json) {
  std::vector<int> numbers;
  for (const Json& number : json.array()) numbers.push_back(static_cast<int>(number.integer()));
  return numbers;
}

Arg arg_from(const Json& json) {
  Arg arg;
  if (json.is_array()) {
    arg.kind = Arg::Kind::list;
    for (const Json& item : json.array()) arg.items.push_back(arg_from(item));
  } else if (!json.is_object()) {
    arg.value = constant(json);
  } else if (const Json* index = json.find("reg")) {
    arg.kind = Arg::Kind::reg;
    arg.reg = static_cast<int>(index->integer());
  } else {
    const auto& [kind, value] = json.object().at(0);
    arg.value = special(kind, value);
  }
  return arg;
}

Op op_from(const Json& json) {
  Op op;
  op.name = json.at("name").string();
  op.overload = json.at("overload").string();
  for (const Json& arg : json.at("args").array()) op.args.push_back(arg_from(arg));
  for (const auto& [name, arg] : json.at("kwargs").object()) op.kwargs.emplace_back(name, arg_from(arg));
  op.outs = ints(json.at("outs"));
  op.source = json.at("source").string();
  return op;
}

}  // namespace

Program program_from(const Json& json, const TensorMap& tensors) {
  Program program;
  program.n_inputs = static_cast<int>(json.at("n_inputs").integer());
  program.n_registers = static_cast<int>(json.at("n_registers").integer());
  for (const Json& constant : json.at("constants").array())
    program.constants.emplace_back(static_cast<int>(constant.array().at(0).integer()),
                                   tensors.at(constant.array().at(1).string()));
  for (const Json& op : json.at("ops").array()) program.ops.push_back(op_from(op));
  program.outputs = ints(json.at("outputs"));
  return program;
}

}  // namespace pyhooks
