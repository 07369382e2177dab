#include "check.h"
#include "engines/program_json.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

Op op_with(const std::string& argument) {
  const Json json = Json::parse(R"({"n_inputs": 1, "n_registers": 2, "constants": [], "outputs": [1], "ops": [
    {"name": "aten::add", "overload": "Tensor", "args": [)" +
                                argument + R"(], "kwargs": {"alpha": 2}, "outs": [1], "source": "net.py:3"}]})");
  return program_from(json, {}).ops.at(0);
}

c10::IValue constant_of(const std::string& argument) { return op_with(argument).args.at(0).value; }

}  // namespace

TEST(program_json_has_every_kind_of_constant) {
  CHECK(constant_of("null").isNone());
  CHECK(constant_of("true").toBool());
  CHECK(constant_of("3").toInt() == 3);
  CHECK(constant_of("3.0").toDouble() == 3);
  CHECK(constant_of("-Infinity").toDouble() == -HUGE_VAL);
  CHECK(constant_of("\"floor\"").toStringRef() == "floor");
  CHECK(constant_of(R"({"dtype": "bfloat16"})").toInt() == static_cast<int>(at::kBFloat16));
  CHECK(constant_of(R"({"layout": "strided"})").toInt() == static_cast<int>(at::kStrided));
  CHECK(constant_of(R"({"memory_format": "channels_last"})").toInt() ==
        static_cast<int>(at::MemoryFormat::ChannelsLast));
  CHECK(constant_of(R"({"device": "cpu"})").toDevice() == c10::Device(c10::kCPU));
  CHECK(constant_of(R"({"complex": [1.5, -2.0]})").toComplexDouble() == c10::complex<double>(1.5, -2));
}

TEST(program_json_has_registers_and_lists) {
  const Op op = op_with(R"([{"reg": 0}, null, [1, 2]])");
  CHECK(op.name == "aten::add" && op.overload == "Tensor" && op.source == "net.py:3");
  CHECK(op.outs == std::vector<int>{1});
  CHECK(op.kwargs.at(0).first == "alpha" && op.kwargs.at(0).second.value.toInt() == 2);
  const Arg& list = op.args.at(0);
  CHECK(list.kind == Arg::Kind::list && list.items.size() == 3);
  CHECK(list.items[0].kind == Arg::Kind::reg && list.items[0].reg == 0);
  CHECK(list.items[2].items.at(1).value.toInt() == 2);
}

TEST(program_json_takes_constant_tensors_by_name) {
  const Json json = Json::parse(
      R"({"n_inputs": 0, "n_registers": 1, "constants": [[0, "plan.0.constant.0"]], "ops": [], "outputs": [0, -1]})");
  const Program program = program_from(json, {{"plan.0.constant.0", floats({4})}});
  CHECK(program.constants.at(0).first == 0 && value(program.constants.at(0).second) == 4);
  CHECK(program.outputs == std::vector<int>({0, -1}));
}

TEST(program_json_refuses_what_is_none) {
  CHECK_THROWS(op_with(R"({"quaternion": 1})"), std::invalid_argument);
  CHECK_THROWS(program_from(Json::Object(), {}), std::invalid_argument);
}
