// A PJRT plugin that computes nothing. It answers just enough for go-xla to believe in a device, in
// compiled programs and in their results, which are ones, or copies of inputs if a program returns
// those. So the programs of a GPU can be inspected without one, and their cost on the host can be
// timed. A program is the types of its inputs and outputs and what it returns; it is stored as that.
//
// PLUGIN_PROGRAMS     a folder: every program is written to it as StableHLO text
// PLUGIN_MEMORY       bytes: the memory that the device reports
// PLUGIN_MEMORY_LEFT  bytes: a call whose inputs and outputs take more runs out of memory
// PLUGIN_TEMPORARY   bytes that a program plans for each image of a batch
// PLUGIN_STEP         microseconds that a call with a batch takes
// PLUGIN_READ         microseconds that a download takes; "fails" makes it fail
// PLUGIN_KEEP         its arrays are what was uploaded
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pjrt_c_api.h"

typedef struct { PJRT_Buffer_Type type; size_t rank, bytes; int64_t dims[8]; } Type;
typedef struct { size_t inputs, outputs, bytes_in, bytes_out; Type *types; int *returns; bool batch; char *text; } Program;

struct PJRT_Error { const char *message; PJRT_Error_Code code; };
struct PJRT_Event { int unused; };
struct PJRT_Client { int unused; };
struct PJRT_Device { int unused; };
struct PJRT_DeviceDescription { int unused; };
struct PJRT_Buffer { Type type; void *data; }; // no data: ones
struct PJRT_LoadedExecutable { Program *program; };
struct PJRT_Executable { Program *program; };
struct PJRT_SerializedExecutable { int unused; };

static PJRT_Event event; // everything has happened when it is asked for
static PJRT_Client client;
static PJRT_Device device;
static PJRT_Device *devices[] = {&device};
static PJRT_DeviceDescription description;

#define ANSWER(function) static PJRT_Error *function(PJRT_##function##_Args *args)
#define TEXT(field, text) do { args->field = text; args->field##_size = strlen(text); } while (0)

static PJRT_Error *fail(PJRT_Error_Code code, const char *message) {
  PJRT_Error *error = malloc(sizeof *error);
  error->message = message;
  error->code = code;
  return error;
}

static size_t number(const char *variable) {
  const char *text = getenv(variable);
  return text ? atoll(text) : 0;
}

static void Error_Destroy(PJRT_Error_Destroy_Args *args) { free(args->error); }
static void Error_Message(PJRT_Error_Message_Args *args) { TEXT(message, args->error->message); }
ANSWER(Error_GetCode) { args->code = args->error->code; return NULL; }
ANSWER(Plugin_Initialize) { return NULL; }
ANSWER(Plugin_Attributes) { args->num_attributes = 0; return NULL; }
ANSWER(Client_Create) { args->client = &client; return NULL; }
ANSWER(Client_Destroy) { return NULL; }
ANSWER(Client_PlatformName) { TEXT(platform_name, "nothing"); return NULL; }
ANSWER(Client_PlatformVersion) { TEXT(platform_version, "0"); return NULL; }
ANSWER(Client_ProcessIndex) { args->process_index = 0; return NULL; }
ANSWER(Client_Devices) { args->devices = devices; args->num_devices = 1; return NULL; }
ANSWER(Client_AddressableDevices) { args->addressable_devices = devices; args->num_addressable_devices = 1; return NULL; }
ANSWER(Client_DefaultDeviceAssignment) {
  for (size_t i = 0; i < args->default_assignment_size; i++) args->default_assignment[i] = 0;
  return NULL;
}
ANSWER(Device_GetDescription) { args->device_description = &description; return NULL; }
ANSWER(Device_IsAddressable) { args->is_addressable = true; return NULL; }
ANSWER(Device_LocalHardwareId) { args->local_hardware_id = 0; return NULL; }
ANSWER(DeviceDescription_Id) { args->id = 0; return NULL; }
ANSWER(DeviceDescription_ProcessIndex) { args->process_index = 0; return NULL; }
ANSWER(DeviceDescription_DebugString) { TEXT(debug_string, "nothing"); return NULL; }
ANSWER(DeviceDescription_Kind) { TEXT(device_kind, "No Card"); return NULL; }
ANSWER(Device_MemoryStats) {
  if (!number("PLUGIN_MEMORY")) return fail(PJRT_Error_Code_UNIMPLEMENTED, "no memory was given");
  args->bytes_in_use = args->peak_bytes_in_use = 0;
  args->peak_bytes_in_use_is_set = false;
  args->bytes_limit = number("PLUGIN_MEMORY");
  args->bytes_limit_is_set = true;
  return NULL;
}
ANSWER(Event_Destroy) { return NULL; }
ANSWER(Event_Await) { return NULL; }

static size_t width(PJRT_Buffer_Type type) {
  return type == PJRT_Buffer_Type_PRED || type == PJRT_Buffer_Type_U8 ? 1 : type == PJRT_Buffer_Type_BF16 ? 2 : 4;
}

static const char *end_of(const char *text) { const char *line = strchr(text, '\n'); return line ? line : text + strlen(text); }

static const char *last(const char *text, const char *word) {
  const char *found = NULL;
  for (const char *at = text; (at = strstr(at, word)); at++) found = at;
  return found;
}

// parse reads the types on the line of a main function, "@main(%arg0: tensor<8x4xf32>, ...) -> (tensor<f32>, ...) {", and which
// inputs the last line that returns something names: "stablehlo.return"(%7, %arg0).
static Program *parse(const char *text) {
  static const struct { const char *name; PJRT_Buffer_Type type; } types[] = {
      {"f32>", PJRT_Buffer_Type_F32}, {"ui8>", PJRT_Buffer_Type_U8}, {"i32>", PJRT_Buffer_Type_S32},
      {"i1>", PJRT_Buffer_Type_PRED}, {"bf16>", PJRT_Buffer_Type_BF16}};
  const char *end = end_of(text), *arrow = strstr(text, "->"), *returns = last(text, "\"stablehlo.return\"(");
  if (strncmp(text, "@main(", 6) || !arrow || arrow > end || !returns) return NULL;
  Program *p = calloc(1, sizeof *p);
  p->types = calloc((end - text) / 8 + 1, sizeof(Type)); // "tensor<" and a letter each
  for (const char *at = text; (at = strstr(at, "tensor<")) && at < end;) {
    Type *t = &p->types[p->inputs + p->outputs];
    bool in = at < arrow;
    for (at += 7; *at >= '0' && *at <= '9'; at++) t->dims[t->rank++] = strtoll(at, (char **)&at, 10);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
      if (!strncmp(at, types[i].name, strlen(types[i].name))) t->type = types[i].type;
    t->bytes = width(t->type);
    for (size_t i = 0; i < t->rank; i++) t->bytes *= t->dims[i];
    *(in ? &p->inputs : &p->outputs) += 1;
    *(in ? &p->bytes_in : &p->bytes_out) += t->bytes;
  }
  p->batch = p->inputs && p->types[0].type == PJRT_Buffer_Type_U8;
  p->returns = calloc(p->outputs, sizeof *p->returns);
  const char *at = strchr(returns, '(');
  for (size_t i = 0; i < p->outputs; i++, at = strchr(at + 1, ','))
    if (sscanf(at + 1, " %%arg%d", &p->returns[i]) != 1) p->returns[i] = -1;
  if (asprintf(&p->text, "%.*s\n%.*s", (int)(end - text), text, (int)(end_of(returns) - returns), returns) < 0) return NULL;
  return p;
}

static PJRT_LoadedExecutable *loaded(Program *p) {
  PJRT_LoadedExecutable *executable = calloc(1, sizeof *executable);
  executable->program = p;
  return executable;
}

ANSWER(Client_Compile) {
  static int programs;
  if (getenv("PLUGIN_PROGRAMS")) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%03d.mlir", getenv("PLUGIN_PROGRAMS"), programs++);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(args->program->code, 1, args->program->code_size, file) != args->program->code_size || fclose(file))
      return fail(PJRT_Error_Code_INTERNAL, "the program could not be written to PLUGIN_PROGRAMS");
  }
  char *text = strndup(args->program->code, args->program->code_size), *at = strstr(text, "@main(");
  Program *p = at ? parse(at) : NULL;
  free(text);
  if (!p) return fail(PJRT_Error_Code_INVALID_ARGUMENT, "the program has no main");
  args->executable = loaded(p);
  return NULL;
}
ANSWER(Executable_Serialize) {
  TEXT(serialized_bytes, args->executable->program->text);
  return NULL;
}
ANSWER(Executable_DeserializeAndLoad) {
  char *text = strndup(args->serialized_executable, args->serialized_executable_size);
  Program *p = parse(text);
  free(text);
  if (!p) return fail(PJRT_Error_Code_INVALID_ARGUMENT, "no program");
  args->loaded_executable = loaded(p);
  return NULL;
}
ANSWER(LoadedExecutable_GetExecutable) {
  args->executable = calloc(1, sizeof *args->executable);
  args->executable->program = args->loaded_executable->program;
  return NULL;
}
ANSWER(LoadedExecutable_Destroy) { free(args->executable); return NULL; }
ANSWER(Executable_Destroy) { free(args->executable); return NULL; }
ANSWER(Executable_Name) { TEXT(executable_name, "nothing"); return NULL; }
ANSWER(Executable_NumOutputs) { args->num_outputs = args->executable->program->outputs; return NULL; }
ANSWER(Executable_GetCompiledMemoryStats) {
  args->argument_size_in_bytes = args->executable->program->bytes_in;
  args->output_size_in_bytes = args->executable->program->bytes_out;
  if (args->executable->program->batch) args->temp_size_in_bytes = args->executable->program->types[0].dims[0] * number("PLUGIN_TEMPORARY");
  return NULL;
}

static PJRT_Buffer *buffer(Type type, const void *data) {
  PJRT_Buffer *b = calloc(1, sizeof *b);
  b->type = type;
  if (data && getenv("PLUGIN_KEEP")) b->data = memcpy(malloc(type.bytes), data, type.bytes);
  return b;
}
ANSWER(LoadedExecutable_Execute) {
  Program *p = args->executable->program;
  size_t left = number("PLUGIN_MEMORY_LEFT");
  if (left && p->bytes_in + p->bytes_out > left) return fail(PJRT_Error_Code_RESOURCE_EXHAUSTED, "Out of memory while trying to allocate");
  if (p->batch) usleep(number("PLUGIN_STEP"));
  for (size_t i = 0; i < p->outputs; i++)
    args->output_lists[0][i] = buffer(p->types[p->inputs + i], p->returns[i] < 0 ? NULL : args->argument_lists[0][p->returns[i]]->data);
  if (args->device_complete_events) args->device_complete_events[0] = &event;
  return NULL;
}
ANSWER(Client_BufferFromHostBuffer) {
  Type t = {.type = args->type, .rank = args->num_dims, .bytes = width(args->type)};
  for (size_t i = 0; i < t.rank; i++) t.bytes *= t.dims[i] = args->dims[i];
  args->buffer = buffer(t, args->data);
  args->done_with_host_buffer = &event;
  return NULL;
}
ANSWER(Buffer_Dimensions) { args->dims = args->buffer->type.dims; args->num_dims = args->buffer->type.rank; return NULL; }
ANSWER(Buffer_ElementType) { args->type = args->buffer->type.type; return NULL; }
ANSWER(Buffer_Device) { args->device = &device; return NULL; }
ANSWER(Buffer_Destroy) {
  free(args->buffer->data);
  free(args->buffer);
  return NULL;
}
ANSWER(Buffer_ToHostBuffer) {
  const char *read = getenv("PLUGIN_READ");
  if (read && !strcmp(read, "fails")) return fail(PJRT_Error_Code_INTERNAL, "nothing can be read");
  usleep(number("PLUGIN_READ"));
  if (!args->dst) args->dst_size = args->src->type.bytes;
  else if (args->src->data) memcpy(args->dst, args->src->data, args->dst_size);
  else if (args->src->type.type == PJRT_Buffer_Type_F32) for (size_t i = 0; i < args->dst_size / 4; i++) ((float *)args->dst)[i] = 1;
  else memset(args->dst, 1, args->dst_size);
  args->event = &event;
  return NULL;
}

const PJRT_Api *GetPjrtApi(void) {
  static PJRT_Api api = {
      .struct_size = PJRT_Api_STRUCT_SIZE,
      .pjrt_api_version = {.struct_size = PJRT_Api_Version_STRUCT_SIZE,
                           .major_version = PJRT_API_MAJOR,
                           .minor_version = PJRT_API_MINOR},
      .PJRT_Error_Destroy = Error_Destroy,
      .PJRT_Error_Message = Error_Message,
  };
#define OFFER(function) api.PJRT_##function = function
  OFFER(Error_GetCode);
  OFFER(Plugin_Initialize);
  OFFER(Plugin_Attributes);
  OFFER(Client_Create);
  OFFER(Client_Destroy);
  OFFER(Client_PlatformName);
  OFFER(Client_PlatformVersion);
  OFFER(Client_ProcessIndex);
  OFFER(Client_Devices);
  OFFER(Client_AddressableDevices);
  OFFER(Client_DefaultDeviceAssignment);
  OFFER(Client_Compile);
  OFFER(Device_GetDescription);
  OFFER(Device_IsAddressable);
  OFFER(Device_LocalHardwareId);
  OFFER(DeviceDescription_Id);
  OFFER(DeviceDescription_ProcessIndex);
  OFFER(DeviceDescription_DebugString);
  OFFER(DeviceDescription_Kind);
  OFFER(Device_MemoryStats);
  OFFER(Event_Destroy);
  OFFER(Event_Await);
  OFFER(Executable_Serialize);
  OFFER(Executable_DeserializeAndLoad);
  OFFER(LoadedExecutable_Execute);
  OFFER(Client_BufferFromHostBuffer);
  OFFER(Buffer_Dimensions);
  OFFER(Buffer_ElementType);
  OFFER(Buffer_Device);
  OFFER(Buffer_Destroy);
  OFFER(Buffer_ToHostBuffer);
  OFFER(LoadedExecutable_GetExecutable);
  OFFER(LoadedExecutable_Destroy);
  OFFER(Executable_Destroy);
  OFFER(Executable_Name);
  OFFER(Executable_NumOutputs);
  OFFER(Executable_GetCompiledMemoryStats);
  return &api;
}
