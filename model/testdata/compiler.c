// A PJRT plugin that compiles nothing: it writes every program that it is given to the folder in CIJEPA_PROGRAMS, as
// StableHLO text, and answers just enough for go-xla to believe in a device and in compiled programs. So the programs of a
// GPU can be looked at where there is none. It cannot run them.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pjrt_c_api.h"

struct PJRT_Error { const char *message; };
struct PJRT_Client { int unused; };
struct PJRT_Device { int unused; };
struct PJRT_DeviceDescription { int unused; };
struct PJRT_LoadedExecutable { size_t outputs; };
struct PJRT_Executable { size_t outputs; };

static PJRT_Client client;
static PJRT_Device device;
static PJRT_Device *devices[] = {&device};
static PJRT_DeviceDescription description;

#define ANSWER(function) static PJRT_Error *function(PJRT_##function##_Args *args)
#define TEXT(field, text) do { args->field = text; args->field##_size = strlen(text); } while (0)

static PJRT_Error *fail(const char *message) {
  PJRT_Error *error = malloc(sizeof *error);
  error->message = message;
  return error;
}

static void Error_Destroy(PJRT_Error_Destroy_Args *args) { free(args->error); }
static void Error_Message(PJRT_Error_Message_Args *args) { TEXT(message, args->error->message); }
ANSWER(Error_GetCode) { args->code = PJRT_Error_Code_INTERNAL; return NULL; }
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

ANSWER(Client_Compile) {
  static int programs;
  char path[4096];
  snprintf(path, sizeof path, "%s/%03d.mlir", getenv("CIJEPA_PROGRAMS"), programs++);
  FILE *file = fopen(path, "w");
  if (!file || fwrite(args->program->code, 1, args->program->code_size, file) != args->program->code_size || fclose(file))
    return fail("the program could not be written to CIJEPA_PROGRAMS");

  // The results of main stand on its first line, behind the arrow.
  char *text = strndup(args->program->code, args->program->code_size);
  char *at = strstr(text, "@main("), *end = at ? strchr(at, '\n') : NULL;
  PJRT_LoadedExecutable *executable = calloc(1, sizeof *executable);
  while (at && at < end && strncmp(at, "->", 2)) at++;
  for (; at && at < end; at++) executable->outputs += !strncmp(at, "tensor<", 7);
  free(text);
  args->executable = executable;
  return NULL;
}
ANSWER(LoadedExecutable_GetExecutable) {
  args->executable = calloc(1, sizeof *args->executable);
  args->executable->outputs = args->loaded_executable->outputs;
  return NULL;
}
ANSWER(LoadedExecutable_Destroy) { free(args->executable); return NULL; }
ANSWER(Executable_Destroy) { free(args->executable); return NULL; }
ANSWER(Executable_Name) { TEXT(executable_name, "nothing"); return NULL; }
ANSWER(Executable_NumOutputs) { args->num_outputs = args->executable->outputs; return NULL; }
ANSWER(Executable_GetCompiledMemoryStats) { return NULL; }

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
  OFFER(LoadedExecutable_GetExecutable);
  OFFER(LoadedExecutable_Destroy);
  OFFER(Executable_Destroy);
  OFFER(Executable_Name);
  OFFER(Executable_NumOutputs);
  OFFER(Executable_GetCompiledMemoryStats);
  return &api;
}
