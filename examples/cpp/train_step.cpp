// Trains a step that Python has exported, with no Python in the process:
//
//   train_step step.safetensors data.safetensors checkpoint.safetensors [epochs [batch size [seed]]]
//
// In Python before:  trainer.export_step("step.safetensors", (x, y), val=(xv, yv), batch_size=64)
//                    safetensors.torch.save_file({"x": x, "y": y, "xv": xv, "yv": yv}, "data.safetensors")
// and afterwards:    trainer.load_checkpoint("checkpoint.safetensors")
#include <pyhooks/trainer.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc < 4) throw std::invalid_argument("usage: train_step STEP DATA CHECKPOINT [EPOCHS [BATCH_SIZE [SEED]]]");
  const auto number = [&](int i, long otherwise) { return argc > i ? std::stol(argv[i]) : otherwise; };

  auto data = pyhooks::load_tensors(argv[2]);
  pyhooks::FitOptions options{.epochs = number(4, 3), .batch_size = number(5, 64)};
  if (argc > 6) options.seed = static_cast<std::uint64_t>(number(6, 0));
  if (data.contains("xv")) options.val = {data.at("xv"), data.at("yv")};

  pyhooks::Trainer trainer = pyhooks::load_step(argv[1]);
  trainer.add(pyhooks::make("nan_guard"));
  const auto result = trainer.fit({data.at("x"), data.at("y")}, options);
  trainer.save(argv[3]);
  for (const auto& [name, value] : result.metrics) std::cout << name << " = " << value << "\n";
  if (!result.stop_reason.empty()) std::cout << "stopped: " << result.stop_reason << "\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
