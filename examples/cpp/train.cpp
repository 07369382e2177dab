// Trains a small convolutional network on images of MNIST's shape, with no Python in the process.
//
//   train [folder for checkpoints [epochs [images labels [libwarm_up.so]]]]
//
// Images are raw bytes, 784 a row, labels one byte a row; without them (or with "" for both) digits of a kind are made up.
// Goes on from the folder's last checkpoint, if there is one; so does Python's trainer.load_checkpoint.
#include <pyhooks/trainer.h>
#include <torch/torch.h>

#include <filesystem>
#include <iostream>

struct NetImpl : torch::nn::Module {
  NetImpl()
      : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 8, 5).stride(2)))),
        norm(register_module("norm", torch::nn::BatchNorm2d(8))),
        drop(register_module("drop", torch::nn::Dropout(0.1))),
        fc(register_module("fc", torch::nn::Linear(8 * 12 * 12, 10))) {}

  torch::Tensor forward(const torch::Tensor& x) { return fc(drop(torch::relu(norm(conv(x)))).flatten(1)); }

  torch::nn::Conv2d conv;
  torch::nn::BatchNorm2d norm;
  torch::nn::Dropout drop;
  torch::nn::Linear fc;
};
TORCH_MODULE(Net);

/// A callback of the program's own.
class Report final : public pyhooks::Callback {
 public:
  void on_fit_epoch_end(pyhooks::Context& ctx) override {
    double accuracy = 0;
    if (ctx.metric("val/accuracy", accuracy))
      std::cout << "epoch " << ctx.epoch() + 1 << ": val/accuracy " << accuracy << "\n";
  }
};

struct Data {
  torch::Tensor images, labels;
};

/// Ten fixed patterns, each seen through noise.
Data made_up(std::int64_t rows) {
  const auto generator = torch::make_generator<torch::CPUGeneratorImpl>(1);
  const auto patterns = torch::rand({10, 1, 28, 28}, generator);
  const auto labels = torch::randint(10, {rows}, generator, torch::kLong);
  return {patterns.index_select(0, labels) + torch::randn({rows, 1, 28, 28}, generator), labels};
}

Data read(const std::string& images, const std::string& labels) {
  const auto rows = static_cast<std::int64_t>(std::filesystem::file_size(labels));
  const auto bytes = torch::from_file(images, false, rows * 784, torch::kByte);
  return {bytes.view({rows, 1, 28, 28}).to(torch::kFloat) / 255,
          torch::from_file(labels, false, rows, torch::kByte).to(torch::kLong)};
}

int main(int argc, char** argv) try {
  const auto argument = [&](int i) { return std::string(argc > i ? argv[i] : ""); };
  const std::filesystem::path folder = argc > 1 ? argv[1] : "runs/cpp";
  const Data all = argument(3).empty() ? made_up(2200) : read(argument(3), argument(4));
  const auto rows = all.labels.size(0) * 10 / 11;  // the others are for validation

  torch::manual_seed(0);
  Net net;
  auto options = pyhooks::options_of(net);
  options.step = [&](const std::vector<torch::Tensor>& batch) -> pyhooks::StepOutput {
    const auto logits = net(batch[0]);
    return {torch::cross_entropy_loss(logits, batch[1]), {logits}};
  };
  options.optimizer = {"adamw", {{"lr", 2e-3}, {"weight_decay", 0.01}}};
  options.metrics = {pyhooks::accuracy()};

  pyhooks::Trainer trainer(options);
  trainer.add(pyhooks::make("grad_clip", {{"max_norm", 5.0}}));
  trainer.add(pyhooks::make("nan_guard"));
  trainer.add(std::make_shared<Report>(), "report");
  if (argc > 5) trainer.add(pyhooks::load_plugin(argv[5]), "WarmUp", {{"steps", 7}});

  const auto last = folder / "last.safetensors";
  if (std::filesystem::exists(last)) trainer.load_checkpoint(last);
  const auto result = trainer.fit({all.images.slice(0, 0, rows), all.labels.slice(0, 0, rows)},
                                  {.val = {all.images.slice(0, rows), all.labels.slice(0, rows)},
                                   .epochs = argc > 2 ? std::stol(argv[2]) : 3,
                                   .batch_size = 64,
                                   .seed = 0,
                                   .save_dir = folder});
  for (const auto& [name, value] : result.metrics) std::cout << name << " = " << value << "\n";
  return 0;
} catch (const pyhooks::Interrupted& stop) {
  std::cerr << stop.what() << "; start again to go on from the last whole epoch\n";
  return 130;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
