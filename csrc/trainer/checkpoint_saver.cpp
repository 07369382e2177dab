#include "trainer/checkpoint_saver.h"

#include <memory>

#include "trainer/resume.h"

namespace pyhooks {

namespace {

class CheckpointSaver final : public Callback {
 public:
  CheckpointSaver(const TrainerParts& parts, std::filesystem::path folder)
      : parts_(parts), folder_(std::move(folder)) {}

  Phase phase() const override { return Phase::save; }

  void on_fit_epoch_end(Context& ctx) override {
    const Checkpoint checkpoint = take_checkpoint(parts_);
    save(checkpoint, "last.safetensors");
    if (parts_.loop->best_fitness() && parts_.loop->best_epoch() == ctx.epoch()) save(checkpoint, "best.safetensors");
  }

 private:
  void save(const Checkpoint& checkpoint, const char* name) const {
    write_checkpoint(folder_ / name, checkpoint);
    parts_.loop->model_saved();
    parts_.loop->checkpoint_durable();
  }

  const TrainerParts& parts_;
  std::filesystem::path folder_;
};

}  // namespace

std::uint64_t add_saver(const TrainerParts& parts, const std::filesystem::path& folder) {
  return parts.dispatcher->add(std::make_shared<CheckpointSaver>(parts, folder), overridden_events<CheckpointSaver>(),
                               {}, "checkpoint");
}

}  // namespace pyhooks
