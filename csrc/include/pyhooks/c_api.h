/* Callbacks from any language: a plain C function that is called natively at one event of training.

     #include <pyhooks/c_api.h>

     void watch(pyhooks_batch* s, void* user) {
       if (s->loss(s) > *(const double*)user) s->request_stop(s, "the loss is above the limit");
     }

   Compile it into a shared library (-I: pyhooks.get_include()), hand its address to pyhooks.native.CFunction, and that
   to trainer.add_callback. Valid C11 and C++; nothing to link against. Fortran, Rust or Zig need no more than this
   struct either; numba-compiled functions (pyhooks.native_callback) read the very same one.

   What costs nothing is a field, what costs something is a function, called with the struct first. Functions report
   errors (a gradient that does not exist, a step that cannot be skipped any more) when the callback has returned: the
   exception is raised then as a C++ callback's would be. What they return meanwhile is NaN, 0 or an empty view. The
   struct, what it points to and what its functions return are valid until the callback returns. No C++ exception
   passes through the callback, and it must let none out.

   Growth: new fields are added at the end and `struct_size` grows, so a callback compiled against an older header goes
   on working; one that wants a newer field asks PYHOOKS_HAS(s, field) first. */
#ifndef PYHOOKS_C_API_H
#define PYHOOKS_C_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Types of elements; the numbers are torch's. */
enum pyhooks_dtype {
  PYHOOKS_UINT8 = 0,
  PYHOOKS_INT8 = 1,
  PYHOOKS_INT16 = 2,
  PYHOOKS_INT32 = 3,
  PYHOOKS_INT64 = 4,
  PYHOOKS_FLOAT16 = 5,
  PYHOOKS_FLOAT32 = 6,
  PYHOOKS_FLOAT64 = 7,
  PYHOOKS_BOOL = 11,
  PYHOOKS_BFLOAT16 = 15
};

/* A tensor's memory. Writing to it changes the tensor. */
typedef struct pyhooks_view {
  void* data;             /* element [0, 0, ...]; null if there is no such tensor (yet) */
  int64_t numel;          /* how many elements; 0 if there is no such tensor */
  int64_t ndim;           /* dimensions */
  const int64_t* sizes;   /* [ndim] */
  const int64_t* strides; /* [ndim], in elements */
  int32_t dtype;          /* enum pyhooks_dtype, or another of torch's numbers; -1 if there is no such tensor */
  int32_t device;         /* -1: the CPU; else `data` is an address of that CUDA device */
} pyhooks_view;

/* Where training stands and what may be asked of it: a callback's first argument. */
typedef struct pyhooks_batch pyhooks_batch;

struct pyhooks_batch {
  size_t struct_size; /* bytes of this struct in the pyhooks that runs */
  void* core;         /* pyhooks' own */
  const char* event;  /* the event's name, as "on_train_batch_end" */

  /* The callback's own numbers. They start at their initial values in each run, and are kept in checkpoints. */
  double* state;
  int64_t state_size;

  /* All counted from 0. */
  int64_t epoch;
  int64_t epochs;       /* how many the run will have */
  int64_t step;         /* optimizer steps made since training began */
  int64_t batch;        /* of this epoch, or of this validation; -1 at events outside batches, as the next two */
  int64_t batches;      /* of this epoch; -1 where the data cannot tell */
  int64_t samples;      /* rows of this batch */
  int64_t samples_seen; /* rows of this run's training batches so far, this one included */

  double (*seconds)(pyhooks_batch* s); /* since the run began */
  double (*loss)(pyhooks_batch* s);    /* of this batch; NaN before the forward pass and outside batches */

  /* Learning rates of the optimizer's parameter groups. */
  int64_t (*num_groups)(pyhooks_batch* s);
  double (*lr)(pyhooks_batch* s, int64_t group);                 /* NaN before there is an optimizer */
  void (*set_lr)(pyhooks_batch* s, double value, int64_t group); /* until a schedule or a callback sets it again */
  void (*scale_lr)(pyhooks_batch* s, double factor);             /* all groups, for the rest of the run */

  /* The trainable parameters, in the order of model.named_parameters(). Change gradients from on_backward_end to
     optimizer_step; they are empty where a parameter has none, and always have the parameter's strides. */
  int64_t (*num_params)(pyhooks_batch* s);
  const char* (*param_name)(pyhooks_batch* s, int64_t i);
  const pyhooks_view* (*param)(pyhooks_batch* s, int64_t i);
  const pyhooks_view* (*grad)(pyhooks_batch* s, int64_t i);

  /* Whether this batch ends with an optimizer step, and the request to leave it out: see BatchContext in context.h. */
  int32_t (*will_update)(pyhooks_batch* s);
  void (*skip_step)(pyhooks_batch* s);

  /* Numbers by name: `log` makes a column of the history at batch events, a metric of the epoch elsewhere. `logged`
     reads this batch's columns ("loss" and "lr" too), `metric` this epoch's metrics: NaN if there is no such number. */
  void (*log)(pyhooks_batch* s, const char* name, double value);
  double (*logged)(pyhooks_batch* s, const char* name);
  double (*metric)(pyhooks_batch* s, const char* name);

  /* Requests, with the reason to tell the user, or null. A stop is a vote: see callback.h. */
  void (*request_stop)(pyhooks_batch* s, const char* reason);
  void (*request_save)(pyhooks_batch* s, const char* reason); /* a checkpoint at the end of this epoch */
  void (*snapshot)(pyhooks_batch* s, const char* reason);     /* a copy of parameters and optimizer, in memory */

  /* The callback has failed: pyhooks.CallbackError with this message is raised when it has returned. Null: the
     exception that the callee's own runtime keeps (numba's does). The first error counts. */
  void (*fail)(pyhooks_batch* s, const char* message);
};

/* A callback. `user` is what it was registered with. */
typedef void (*pyhooks_function)(pyhooks_batch* s, void* user);

/* Whether the pyhooks that runs is new enough for a field. */
#define PYHOOKS_HAS(s, field) ((s)->struct_size >= offsetof(pyhooks_batch, field) + sizeof(((pyhooks_batch*)0)->field))

#ifdef __cplusplus
}
#endif

#endif
