/* The functions of Triton's C API that are probed, with nothing behind them: objects are memory, errors are their code.
   Compiled three times: as the server's library, as a backend's and as another build of that. */
#include <stdint.h>
#include <stdlib.h>

struct error {
  int code;
};

#ifdef BACKEND

struct error *TRITONBACKEND_ModelInstanceExecute(void *instance, void **requests, uint32_t count) {
  (void)instance, (void)requests, (void)count;
  return NULL;
}

struct error *TRITONBACKEND_ModelInstanceFinalize(void *instance) {
  (void)instance;
  return NULL;
}

/* Makes one build differ from another. */
const char *backend_build(void) { return BACKEND; }

#else

struct error *TRITONSERVER_InferenceRequestNew(void **request, void *server, const char *model, int64_t version) {
  static struct error not_found = {2};
  (void)server, (void)version;
  if (*model == '\0') return &not_found;
  *request = malloc(64);
  return NULL;
}

struct error *TRITONSERVER_InferenceRequestSetId(void *request, const char *id) {
  (void)request, (void)id;
  return NULL;
}

/* A request without a server is refused. */
struct error *TRITONSERVER_ServerInferAsync(void *server, void *request, void *trace) {
  static struct error unavailable = {4};
  (void)request, (void)trace;
  return server == NULL ? &unavailable : NULL;
}

struct error *TRITONSERVER_InferenceRequestCancel(void *request) {
  (void)request;
  return NULL;
}

struct error *TRITONSERVER_InferenceRequestDelete(void *request) {
  free(request);
  return NULL;
}

struct error *TRITONBACKEND_ResponseFactoryNew(void **factory, void *request) {
  (void)request;
  *factory = malloc(16);
  return NULL;
}

struct error *TRITONBACKEND_ResponseNew(void **response, void *request) {
  (void)request;
  *response = malloc(32);
  return NULL;
}

struct error *TRITONBACKEND_ResponseNewFromFactory(void **response, void *factory) {
  (void)factory;
  *response = malloc(32);
  return NULL;
}

struct error *TRITONBACKEND_ResponseSend(void *response, uint32_t flags, struct error *error) {
  (void)flags, (void)error;
  free(response);
  return NULL;
}

struct error *TRITONBACKEND_ResponseFactorySendFlags(void *factory, uint32_t flags) {
  (void)factory, (void)flags;
  return NULL;
}

struct error *TRITONBACKEND_ModelInstanceReportStatistics(void *instance, void *request, _Bool success, uint64_t begin,
                                                          uint64_t compute_begin, uint64_t compute_end, uint64_t end) {
  (void)instance, (void)request, (void)success, (void)begin, (void)compute_begin, (void)compute_end, (void)end;
  return NULL;
}

#endif
