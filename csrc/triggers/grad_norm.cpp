#include "pyhooks/norm.h"
#include "triggers/names.h"

namespace pyhooks::triggers {

double grad_norm(BatchContext& context) {
  std::vector<at::Tensor> grads;
  defined_grads(context, grads);
  return grads.empty() ? 0 : total_norm(grads, 2.0).item<double>();
}

}  // namespace pyhooks::triggers
