// Runs the trainings that tests/fuzz/dispatch_fuzz.py describes on standard input, and prints what happened in each.
//
//   round <epochs> <batches> <accumulate> <validation batches>
//   callback <id> <phase> <priority> <every> <once> <after> <before> <policy> <events> <added at the start>
//   act <id> <event> <n-th call of it at this event> <vote|throw|skip|add|remove> <whom>
//   end
#include <iostream>
#include <map>
#include <sstream>

#include "toy.h"

using namespace pyhooks;

namespace {

struct Act {
  std::string what;
  int whom = 0;
};

struct Spec {
  int id = 0;
  Phase phase = Phase::observe;
  Filter filter;
  Manner manner;
  EventMask events = 0;
  bool at_start = false;
  std::map<std::pair<int, int>, std::vector<Act>> acts;  // by event and call
};

class Round;

/// Notes each call, then does what its spec says.
class Actor final : public Callback {
 public:
  Actor(Round& round, const Spec& spec) : round_(round), spec_(spec) {}

  Phase phase() const override { return spec_.phase; }
#define PYHOOKS_EVENT(name, kind) \
  void name(ContextOf<EventKind::kind>& ctx) override { act(Event::name, ctx); }
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT

 private:
  template <class AnyContext>
  void act(Event event, AnyContext& ctx);
  void skip(Context&) { throw std::logic_error("skip"); }
  void skip(BatchContext& ctx) { ctx.skip_step(); }

  Round& round_;
  const Spec& spec_;
  std::map<int, int> calls_;
};

class Round {
 public:
  explicit Round(std::istringstream& line) {
    std::int64_t epochs = 0;
    std::size_t batches = 0;
    std::size_t validation = 0;
    std::int64_t accumulate = 0;
    line >> epochs >> batches >> accumulate >> validation;
    training_ = std::make_unique<toy::Training>(epochs, std::vector<std::vector<float>>(batches, {1}));
    training_->dispatcher->remove(training_->dispatcher->registrations().front()->id);  // the toy's own trace
    training_->accumulate(accumulate);
    if (validation > 0) training_->validate_on(std::vector<std::vector<float>>(validation, {1}));
  }

  void read_callback(std::istringstream& line) {
    Spec spec;
    int phase = 0;
    int policy = 0;
    line >> spec.id >> phase >> spec.manner.priority >> spec.filter.every >> spec.filter.once >> spec.filter.after >>
        spec.filter.before >> policy >> spec.events >> spec.at_start;
    spec.phase = static_cast<Phase>(phase);
    spec.manner.on_error = static_cast<ErrorPolicy>(policy);
    specs_[spec.id] = spec;
  }

  void read_act(std::istringstream& line) {
    int id = 0;
    int event = 0;
    int call = 0;
    Act act;
    line >> id >> event >> call >> act.what >> act.whom;
    specs_.at(id).acts[{event, call}].push_back(act);
  }

  void run(std::ostream& out) {
    for (const auto& [id, spec] : specs_)
      if (spec.at_start) add(id);
    std::string result = "done";
    try {
      training_->loop.run();
    } catch (const std::exception& error) {
      result = std::string("raised ") + error.what();
    }
    for (const std::string& note : notes) out << note << "\n";
    out << "result " << result << "; steps " << training_->descent->grads.size() << "; votes "
        << training_->loop.votes().size() << "; alive";
    for (const auto& registration : training_->dispatcher->registrations())
      out << " " << registration->label << ":" << registration->stats.calls() << ":" << registration->stats.failures;
    out << "\nend\n";
  }

  void add(int id) {
    if (alive(id)) return;
    const Spec& spec = specs_.at(id);
    numbers_[id] = training_->dispatcher->add(std::make_shared<Actor>(*this, spec), spec.events, spec.filter,
                                              std::to_string(id), true, spec.manner);
  }
  void remove(int id) {
    if (numbers_.contains(id)) training_->dispatcher->remove(numbers_[id]);
  }

  Notes notes;

 private:
  bool alive(int id) const {
    for (const auto& registration : training_->dispatcher->registrations())
      if (numbers_.contains(id) && registration->id == numbers_.at(id)) return true;
    return false;
  }

  std::map<int, Spec> specs_;
  std::map<int, std::uint64_t> numbers_;
  std::unique_ptr<toy::Training> training_;
};

template <class AnyContext>
void Actor::act(Event event, AnyContext& ctx) {
  const int number = static_cast<int>(event);
  const int call = ++calls_[number];
  round_.notes.push_back(std::to_string(spec_.id) + " " + std::string(info(event).name) + " " +
                         std::to_string(ctx.epoch()) + " " + std::to_string(ctx.global_step()));
  const auto found = spec_.acts.find({number, call});
  if (found == spec_.acts.end()) return;
  for (const Act& act : found->second) {
    if (act.what == "vote") ctx.request_stop("fuzz");
    if (act.what == "skip") skip(ctx);
    if (act.what == "add") round_.add(act.whom);
    if (act.what == "remove") round_.remove(act.whom);
    if (act.what == "throw") throw std::runtime_error("thrown by " + std::to_string(spec_.id));
  }
}

}  // namespace

int main() {
  std::unique_ptr<Round> round;
  for (std::string text; std::getline(std::cin, text);) {
    std::istringstream line(text);
    std::string word;
    line >> word;
    if (word == "round") round = std::make_unique<Round>(line);
    if (word == "callback") round->read_callback(line);
    if (word == "act") round->read_act(line);
    if (word == "end") round->run(std::cout);
  }
  return 0;
}
