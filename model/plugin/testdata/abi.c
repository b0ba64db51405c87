// abi_test.go compiles this: it does if abi.h and go-xla's header say the same.
#include "pjrt_c_api.h"

#include "abi.h"

#define FUNCTION(place, name) _Static_assert( \
  offsetof(PJRT_Api, PJRT_##name) == offsetof(abi_table, functions) + (place) * sizeof(void *), #name)
#define FIELD(ours, a, theirs, b) _Static_assert( \
  offsetof(ours, a) == offsetof(theirs, b) && sizeof(((ours *)0)->a) >= sizeof(((theirs *)0)->b), #theirs)
// The plugin wants a size that holds all fields that it writes, as their header counts it.
#define SIZE(ours, theirs) _Static_assert(sizeof(ours) >= theirs##_STRUCT_SIZE && sizeof(ours) <= sizeof(theirs), #theirs)

FUNCTION(ABI_ERROR_DESTROY, Error_Destroy);
FUNCTION(ABI_ERROR_MESSAGE, Error_Message);
FUNCTION(ABI_CLIENT_CREATE, Client_Create);
FUNCTION(ABI_CLIENT_PLATFORM_VERSION, Client_PlatformVersion);
FUNCTION(ABI_CLIENT_ADDRESSABLE_DEVICES, Client_AddressableDevices);
FUNCTION(ABI_CLIENT_COMPILE, Client_Compile);
FUNCTION(ABI_DEVICE_DESCRIPTION_KIND, DeviceDescription_Kind);
FUNCTION(ABI_DEVICE_GET_DESCRIPTION, Device_GetDescription);
FUNCTION(ABI_DEVICE_MEMORY_STATS, Device_MemoryStats);
FUNCTION(ABI_EXECUTABLE_DESTROY, Executable_Destroy);
FUNCTION(ABI_EXECUTABLE_NUM_OUTPUTS, Executable_NumOutputs);
FUNCTION(ABI_EXECUTABLE_SERIALIZE, Executable_Serialize);
FUNCTION(ABI_LOADED_EXECUTABLE_DESTROY, LoadedExecutable_Destroy);
FUNCTION(ABI_LOADED_EXECUTABLE_GET_EXECUTABLE, LoadedExecutable_GetExecutable);
FUNCTION(ABI_EXECUTABLE_DESERIALIZE_AND_LOAD, Executable_DeserializeAndLoad);
FUNCTION(ABI_EXECUTABLE_GET_COMPILED_MEMORY_STATS, Executable_GetCompiledMemoryStats);

FIELD(abi_table, struct_size, PJRT_Api, struct_size);
FIELD(abi_table, version.major_version, PJRT_Api, pjrt_api_version.major_version);
FIELD(abi_table, version.minor_version, PJRT_Api, pjrt_api_version.minor_version);

SIZE(abi_error_destroy, PJRT_Error_Destroy_Args);
FIELD(abi_error_destroy, error, PJRT_Error_Destroy_Args, error);
SIZE(abi_error_message, PJRT_Error_Message_Args);
FIELD(abi_error_message, error, PJRT_Error_Message_Args, error);
FIELD(abi_error_message, message, PJRT_Error_Message_Args, message);
FIELD(abi_error_message, message_size, PJRT_Error_Message_Args, message_size);
FIELD(abi_client_create, client, PJRT_Client_Create_Args, client);
SIZE(abi_text, PJRT_Client_PlatformVersion_Args);
FIELD(abi_text, client, PJRT_Client_PlatformVersion_Args, client);
FIELD(abi_text, text, PJRT_Client_PlatformVersion_Args, platform_version);
FIELD(abi_text, text_size, PJRT_Client_PlatformVersion_Args, platform_version_size);
SIZE(abi_text, PJRT_DeviceDescription_Kind_Args);
FIELD(abi_text, client, PJRT_DeviceDescription_Kind_Args, device_description);
FIELD(abi_text, text, PJRT_DeviceDescription_Kind_Args, device_kind);
FIELD(abi_text, text_size, PJRT_DeviceDescription_Kind_Args, device_kind_size);
SIZE(abi_devices, PJRT_Client_AddressableDevices_Args);
FIELD(abi_devices, client, PJRT_Client_AddressableDevices_Args, client);
FIELD(abi_devices, devices, PJRT_Client_AddressableDevices_Args, addressable_devices);
FIELD(abi_devices, num_devices, PJRT_Client_AddressableDevices_Args, num_addressable_devices);
SIZE(abi_get, PJRT_Device_GetDescription_Args);
FIELD(abi_get, from, PJRT_Device_GetDescription_Args, device);
FIELD(abi_get, to, PJRT_Device_GetDescription_Args, device_description);
SIZE(abi_get, PJRT_LoadedExecutable_GetExecutable_Args);
FIELD(abi_get, from, PJRT_LoadedExecutable_GetExecutable_Args, loaded_executable);
FIELD(abi_get, to, PJRT_LoadedExecutable_GetExecutable_Args, executable);
SIZE(abi_destroy, PJRT_Executable_Destroy_Args);
FIELD(abi_destroy, executable, PJRT_Executable_Destroy_Args, executable);
SIZE(abi_destroy, PJRT_LoadedExecutable_Destroy_Args);
FIELD(abi_destroy, executable, PJRT_LoadedExecutable_Destroy_Args, executable);
SIZE(abi_num_outputs, PJRT_Executable_NumOutputs_Args);
FIELD(abi_num_outputs, executable, PJRT_Executable_NumOutputs_Args, executable);
FIELD(abi_num_outputs, num_outputs, PJRT_Executable_NumOutputs_Args, num_outputs);
FIELD(abi_program, code, PJRT_Program, code);
FIELD(abi_program, code_size, PJRT_Program, code_size);
FIELD(abi_program, format, PJRT_Program, format);
FIELD(abi_program, format_size, PJRT_Program, format_size);
FIELD(abi_compile, client, PJRT_Client_Compile_Args, client);
FIELD(abi_compile, program, PJRT_Client_Compile_Args, program);
FIELD(abi_compile, options, PJRT_Client_Compile_Args, compile_options);
FIELD(abi_compile, options_size, PJRT_Client_Compile_Args, compile_options_size);
FIELD(abi_compile, executable, PJRT_Client_Compile_Args, executable);
SIZE(abi_serialize, PJRT_Executable_Serialize_Args);
FIELD(abi_serialize, executable, PJRT_Executable_Serialize_Args, executable);
FIELD(abi_serialize, bytes, PJRT_Executable_Serialize_Args, serialized_bytes);
FIELD(abi_serialize, bytes_size, PJRT_Executable_Serialize_Args, serialized_bytes_size);
FIELD(abi_serialize, serialized, PJRT_Executable_Serialize_Args, serialized_executable);
FIELD(abi_serialize, deleter, PJRT_Executable_Serialize_Args, serialized_executable_deleter);
SIZE(abi_deserialize, PJRT_Executable_DeserializeAndLoad_Args);
FIELD(abi_deserialize, client, PJRT_Executable_DeserializeAndLoad_Args, client);
FIELD(abi_deserialize, bytes, PJRT_Executable_DeserializeAndLoad_Args, serialized_executable);
FIELD(abi_deserialize, bytes_size, PJRT_Executable_DeserializeAndLoad_Args, serialized_executable_size);
FIELD(abi_deserialize, executable, PJRT_Executable_DeserializeAndLoad_Args, loaded_executable);
FIELD(abi_deserialize, options, PJRT_Executable_DeserializeAndLoad_Args, overridden_serialized_compile_options);
SIZE(abi_compiled_memory, PJRT_Executable_GetCompiledMemoryStats_Args);
FIELD(abi_compiled_memory, code, PJRT_Executable_GetCompiledMemoryStats_Args, generated_code_size_in_bytes);
FIELD(abi_compiled_memory, arguments, PJRT_Executable_GetCompiledMemoryStats_Args, argument_size_in_bytes);
FIELD(abi_compiled_memory, outputs, PJRT_Executable_GetCompiledMemoryStats_Args, output_size_in_bytes);
FIELD(abi_compiled_memory, aliased, PJRT_Executable_GetCompiledMemoryStats_Args, alias_size_in_bytes);
FIELD(abi_compiled_memory, temporary, PJRT_Executable_GetCompiledMemoryStats_Args, temp_size_in_bytes);
FIELD(abi_compiled_memory, peak, PJRT_Executable_GetCompiledMemoryStats_Args, peak_memory_in_bytes);
SIZE(abi_memory, PJRT_Device_MemoryStats_Args);
FIELD(abi_memory, device, PJRT_Device_MemoryStats_Args, device);
FIELD(abi_memory, in_use, PJRT_Device_MemoryStats_Args, bytes_in_use);
FIELD(abi_memory, peak.value, PJRT_Device_MemoryStats_Args, peak_bytes_in_use);
FIELD(abi_memory, peak.set, PJRT_Device_MemoryStats_Args, peak_bytes_in_use_is_set);
FIELD(abi_memory, limit.value, PJRT_Device_MemoryStats_Args, bytes_limit);
FIELD(abi_memory, limit.set, PJRT_Device_MemoryStats_Args, bytes_limit_is_set);
