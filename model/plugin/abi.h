// The part of PJRT's C interface that this package calls, laid out as in go-xla's pjrt_c_api.h, which
// no cgo package can include from where it is. The interface only ever grows at the ends of its
// structs. abi_test.go compares the two.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The functions of the table, by index.
enum {
  ABI_ERROR_DESTROY = 0,
  ABI_ERROR_MESSAGE = 1,
  ABI_CLIENT_CREATE = 10,
  ABI_CLIENT_PLATFORM_VERSION = 14,
  ABI_CLIENT_ADDRESSABLE_DEVICES = 16,
  ABI_CLIENT_COMPILE = 20,
  ABI_DEVICE_DESCRIPTION_KIND = 26,
  ABI_DEVICE_GET_DESCRIPTION = 29,
  ABI_DEVICE_MEMORY_STATS = 34,
  ABI_EXECUTABLE_DESTROY = 40,
  ABI_EXECUTABLE_NUM_OUTPUTS = 44,
  ABI_EXECUTABLE_SERIALIZE = 49,
  ABI_LOADED_EXECUTABLE_DESTROY = 50,
  ABI_LOADED_EXECUTABLE_GET_EXECUTABLE = 51,
  ABI_EXECUTABLE_DESERIALIZE_AND_LOAD = 56,
  ABI_EXECUTABLE_GET_COMPILED_MEMORY_STATS = 96,
  ABI_LAST = ABI_EXECUTABLE_GET_COMPILED_MEMORY_STATS,
};

typedef struct {
  size_t struct_size;
  void *extension_start;
  struct {
    size_t struct_size;
    void *extension_start;
    int major_version, minor_version;
  } version;
  void *functions[];
} abi_table;

#define ABI_HEAD size_t struct_size; void *extension_start

typedef struct { ABI_HEAD; void *error; } abi_error_destroy;
typedef struct { ABI_HEAD; const void *error; const char *message; size_t message_size; } abi_error_message;
typedef struct { ABI_HEAD; const void *options; size_t num_options; void *kv[4]; void *client; } abi_client_create;
typedef struct { ABI_HEAD; void *client; const char *text; size_t text_size; } abi_text; // of PlatformVersion, and of Kind
typedef struct { ABI_HEAD; void *client; void *const *devices; size_t num_devices; } abi_devices;
typedef struct { ABI_HEAD; void *from, *to; } abi_get; // of Device_GetDescription, and of LoadedExecutable_GetExecutable
typedef struct { ABI_HEAD; void *executable; } abi_destroy; // of both kinds of executables
typedef struct { ABI_HEAD; void *executable; size_t num_outputs; } abi_num_outputs;
typedef struct { ABI_HEAD; char *code; size_t code_size; const char *format; size_t format_size; } abi_program;
typedef struct {
  ABI_HEAD;
  void *client;
  const abi_program *program;
  const char *options;
  size_t options_size;
  void *executable;
} abi_compile;
typedef struct {
  ABI_HEAD;
  const void *executable;
  const char *bytes;
  size_t bytes_size;
  void *serialized;
  void (*deleter)(void *serialized);
} abi_serialize;
typedef struct {
  ABI_HEAD;
  void *client;
  const char *bytes;
  size_t bytes_size;
  void *executable;
  const char *options;
  size_t options_size;
} abi_deserialize;
typedef struct {
  ABI_HEAD;
  void *executable;
  int64_t code, arguments, outputs, aliased, temporary;
  int64_t host[5];
  int64_t peak, total, allocations, indefinite, unpadded;
} abi_compiled_memory;
typedef struct {
  ABI_HEAD;
  void *device;
  int64_t in_use;
  struct { int64_t value; bool set; } peak, allocs, largest, limit, reserved, peak_reserved, reservable, free, pool, peak_pool;
} abi_memory;

// abi_call calls a function of a table; its arguments begin with their size.
static inline void *abi_call(const abi_table *table, int function, void *args) {
  return ((void *(*)(void *))table->functions[function])(args);
}

// abi_copy is a table of one's own, in which functions can be replaced.
static inline abi_table *abi_copy(const abi_table *table) {
  abi_table *own = malloc(table->struct_size);
  return own ? memcpy(own, table, table->struct_size) : NULL;
}

static inline void abi_replace(abi_table *table, int function, void *by) { table->functions[function] = by; }
static inline bool abi_has(const abi_table *table, int function) {
  return table->struct_size >= offsetof(abi_table, functions) + (function + 1) * sizeof(void *) && table->functions[function];
}
static inline void abi_delete(const abi_serialize *s) { if (s->deleter) s->deleter(s->serialized); }
