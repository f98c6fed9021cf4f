/* A program that embeds Triton: it opens the libraries itself and does what a line of its input says, then prints how many
   nanoseconds of processor time that took.

   usage: program SERVER_LIBRARY BACKEND_LIBRARY
   unary N | fail N | refused N | batch N      N requests with one answer each; batch: executed all at once
   stream N | elsewhere N                      one request with N responses; elsewhere: sent by another thread than made
   backend PATH                                closes the backend's library and opens this one */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct error {
  int code;
};

static struct error *(*request_new)(void **, void *, const char *, int64_t);
static struct error *(*set_id)(void *, const char *);
static struct error *(*infer)(void *, void *, void *);
static struct error *(*request_delete)(void *);
static struct error *(*factory_new)(void **, void *);
static struct error *(*response_new)(void **, void *);
static struct error *(*response_from)(void **, void *);
static struct error *(*response_send)(void *, uint32_t, struct error *);
static struct error *(*send_flags)(void *, uint32_t);
static struct error *(*report)(void *, void *, _Bool, uint64_t, uint64_t, uint64_t, uint64_t);
static struct error *(*execute)(void *, void **, uint32_t);

static int server, instance;
static const uint32_t FINAL = 1;

static void *open_or_die(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return library;
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void *request(const char *model, int number) {
  char id[32];
  void *made = NULL;
  snprintf(id, sizeof id, "%s-%d", model, number);
  request_new(&made, &server, model, -1);
  set_id(made, id);
  return made;
}

/* Inputs take 1 us, the computation 2 us, outputs 4 us. */
static void reported(void *made, _Bool success) {
  uint64_t begin = read_clock(CLOCK_MONOTONIC);
  report(&instance, made, success, begin, begin + 1000, begin + 3000, begin + 7000);
}

static void answered(void *made, struct error *error) {
  void *response;
  response_new(&response, made);
  response_send(response, FINAL, error);
  reported(made, error == NULL);
  request_delete(made);
}

static void unary(int count, struct error *error) {
  for (int number = 0; number < count; number++) {
    void *made = request(error ? "fails" : "unary", number);
    infer(&server, made, NULL);
    execute(&instance, &made, 1);
    answered(made, error);
  }
}

static void refused(int count) {
  for (int number = 0; number < count; number++) {
    void *made = request("refused", number);
    infer(NULL, made, NULL);
    request_delete(made);
  }
}

static void batch(int count) {
  void **all = calloc(count, sizeof *all);
  for (int number = 0; number < count; number++) {
    all[number] = request("batch", number);
    infer(&server, all[number], NULL);
  }
  execute(&instance, all, count);
  for (int number = 0; number < count; number++) answered(all[number], NULL);
  free(all);
}

struct sent {
  void *response;
};

static void *send_it(void *argument) {
  struct sent *sent = argument;
  response_send(sent->response, 0, NULL);
  return NULL;
}

static void *idle(void *argument) { return argument; }

static void stream(int count, int elsewhere) {
  void *made = request(elsewhere ? "elsewhere" : "stream", 0), *factory;
  infer(&server, made, NULL);
  execute(&instance, &made, 1);
  factory_new(&factory, made);
  reported(made, 1);
  for (int number = 0; number < count; number++) {
    void *response;
    response_from(&response, factory);
    if (elsewhere) {
      struct sent sent = {response};
      pthread_t thread;
      pthread_create(&thread, NULL, send_it, &sent);
      pthread_join(thread, NULL);
    } else {
      response_send(response, 0, NULL);
    }
  }
  send_flags(factory, FINAL);
  request_delete(made);
  free(factory);
}

int main(int arguments, char **argument) {
  static struct error internal = {1};
  char line[4096], what[32], path[4000];
  int count;
  if (arguments != 3) return 2;
  void *triton = open_or_die(argument[1]), *backend = open_or_die(argument[2]);
#define FIND(name, symbol) name = dlsym(triton, symbol)
  FIND(request_new, "TRITONSERVER_InferenceRequestNew");
  FIND(set_id, "TRITONSERVER_InferenceRequestSetId");
  FIND(infer, "TRITONSERVER_ServerInferAsync");
  FIND(request_delete, "TRITONSERVER_InferenceRequestDelete");
  FIND(factory_new, "TRITONBACKEND_ResponseFactoryNew");
  FIND(response_new, "TRITONBACKEND_ResponseNew");
  FIND(response_from, "TRITONBACKEND_ResponseNewFromFactory");
  FIND(response_send, "TRITONBACKEND_ResponseSend");
  FIND(send_flags, "TRITONBACKEND_ResponseFactorySendFlags");
  FIND(report, "TRITONBACKEND_ModelInstanceReportStatistics");
  execute = dlsym(backend, "TRITONBACKEND_ModelInstanceExecute");
  while (fgets(line, sizeof line, stdin)) {
    uint64_t began = read_clock(CLOCK_THREAD_CPUTIME_ID);
    if (sscanf(line, "backend %3999s", path) == 1) {
      dlclose(backend);
      backend = open_or_die(path);
      execute = dlsym(backend, "TRITONBACKEND_ModelInstanceExecute");
      /* As Triton starts a thread for each instance. */
      pthread_t thread;
      pthread_create(&thread, NULL, idle, NULL);
      pthread_join(thread, NULL);
    } else if (sscanf(line, "%31s %d", what, &count) == 2) {
      if (!strcmp(what, "unary")) unary(count, NULL);
      if (!strcmp(what, "fail")) unary(count, &internal);
      if (!strcmp(what, "refused")) refused(count);
      if (!strcmp(what, "batch")) batch(count);
      if (!strcmp(what, "stream")) stream(count, 0);
      if (!strcmp(what, "elsewhere")) stream(count, 1);
    }
    printf("%llu\n", (unsigned long long)(read_clock(CLOCK_THREAD_CPUTIME_ID) - began));
    fflush(stdout);
  }
  return 0;
}
