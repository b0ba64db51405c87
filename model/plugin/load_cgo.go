//go:build cgo

package plugin

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include "abi.h"

static inline abi_table *open_table(const char *path, const char **fault) {
  void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  void *get = library ? dlsym(library, "GetPjrtApi") : NULL;
  *fault = get ? NULL : dlerror();
  return get ? ((abi_table *(*)(void))get)() : NULL;
}
static inline void keep_open(const char *path) { dlopen(path, RTLD_LAZY | RTLD_LOCAL); }
extern void *cijepaCreate(void *args);
extern void *cijepaCompile(void *args);
*/
import "C"

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/gomlx/go-xla/pjrt"
)

// library is a plugin in this process. It is never unloaded: XLA does not bear that.
type library struct {
	path  string
	table *C.abi_table  // the plugin's own
	parts func() []byte // sha256 of its file, and what lies beside it; known a while after it was opened
	flags string        // XLA_FLAGS as the plugin has read it, which it does once
}

// native is a client on the other side.
type native struct {
	library *library
	client  unsafe.Pointer
	device  unsafe.Pointer // the first
}

// What is known of plugins is known to the process, as go-xla's own list of them is, and as the functions below are called
// without a word of whom they are for.
var (
	loading   sync.Mutex // from Load to the function that it returns
	coming    *Client    // whose client is being made
	libraries = map[string]*library{}
	clients   sync.Map // by the plugin's client: *Client
)

// Load loads the plugin with an absolute path, unless it is loaded, and makes the next client that go-xla makes of it this
// one's. The caller calls loaded when go-xla has done so, or has failed.
func Load(path string, o Options) (c *Client, loaded func(), err error) {
	loading.Lock()
	defer func() {
		if err != nil {
			loading.Unlock()
		}
	}()
	l := libraries[path]
	if l == nil {
		if l, err = open(path, o); err != nil {
			return nil, nil, err
		}
		libraries[path] = l
	}
	coming = &Client{options: o, native: native{library: l}}
	return coming, func() {
		coming = nil
		loading.Unlock()
	}, nil
}

// open loads a plugin and gives go-xla a table of its functions with two of ours in it.
func open(path string, o Options) (*library, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("the plugin %s: must be an absolute path", path)
	}
	parts, flags, err := read(path, o)
	if err != nil {
		return nil, fmt.Errorf("the plugin: %w", err)
	}
	if flags != o.Flags { // before the plugin is there: it reads them when it pleases, once
		if err := os.Setenv("XLA_FLAGS", flags); err != nil {
			return nil, fmt.Errorf("setting XLA_FLAGS: %w", err)
		}
	}
	openCompanions(path)
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	runtime.LockOSThread() // dlerror is the thread's
	defer runtime.UnlockOSThread()
	var fault *C.char
	table := C.open_table(name, &fault)
	switch {
	case fault != nil:
		return nil, fmt.Errorf("loading the plugin %s: %s", path, C.GoString(fault))
	case table == nil:
		return nil, fmt.Errorf("loading the plugin %s: it has no functions", path)
	case !bool(C.abi_has(table, C.ABI_LAST)):
		return nil, fmt.Errorf("loading the plugin %s: its version %d.%d of PJRT is too old", path, table.version.major_version, table.version.minor_version)
	}
	own := C.abi_copy(table)
	if own == nil {
		return nil, fmt.Errorf("loading the plugin %s: no memory", path)
	}
	C.abi_replace(own, C.ABI_CLIENT_CREATE, C.cijepaCreate)
	C.abi_replace(own, C.ABI_CLIENT_COMPILE, C.cijepaCompile)
	if err := pjrt.RegisterPreloadedPlugin(path, uintptr(unsafe.Pointer(own))); err != nil {
		return nil, fmt.Errorf("loading the plugin %s: %w", path, err)
	}
	return &library{path: path, table: table, parts: parts, flags: flags}, nil
}

// openCompanions opens libraries that others beside the plugin ask for by their bare names, without a word of the folder in which all of them
// lie: where LD_LIBRARY_PATH does not name it, nvrtc does not find its builtins, and cuDNN has no plan for attention. An error is left to
// who asks.
func openCompanions(path string) {
	site := filepath.Join(filepath.Dir(path), "..", "..") // of Python's packages: site/jax_plugins/xla_cuda13/xla_cuda_plugin.so
	found, _ := filepath.Glob(filepath.Join(site, "nvidia", "*", "lib", "libnvrtc-builtins.so.*"))
	for _, library := range found {
		name := C.CString(library)
		C.keep_open(name)
		C.free(unsafe.Pointer(name))
	}
}

// read gives what a plugin consists of, for keys, and the flags with the wanted ones that the plugin knows: XLA ends the process at
// a flag that it does not know, and a plugin that knows one has its name among its strings. CUDA's plugin is 400 MB, whose
// checksum takes a second: it is computed while the plugin is loaded and finds its device.
func read(path string, o Options) (parts func() []byte, flags string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, "", fmt.Errorf("%s is not a file with something in it", path)
	}
	text, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", path, err)
	}
	flags = o.Flags
	for _, flag := range o.Wanted {
		name := nameOf(flag)
		named := slices.ContainsFunc(strings.Fields(flags), func(f string) bool { return nameOf(f) == name })
		if !named && bytes.Contains(text, []byte(name+"\x00")) {
			flags = strings.TrimSpace(flags + " " + flag)
		}
	}
	parts = sync.OnceValue(func() []byte {
		defer syscall.Munmap(text)
		sum := sha256.Sum256(text)
		return append(sum[:], beside(path)...)
	})
	go parts()
	return parts, flags, nil
}

// nameOf is the name of a flag of XLA.
func nameOf(flag string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
	return name
}

// beside names the packages of CUDA's libraries that lie where Python's installer puts them: a program is compiled for those, and may
// hold plans of cuDNN.
func beside(path string) []byte {
	site := filepath.Dir(filepath.Dir(filepath.Dir(path)))
	found, _ := filepath.Glob(filepath.Join(site, "nvidia_*.dist-info")) // the pattern is a good one
	var names []byte
	for _, f := range found {
		names = append(names, filepath.Base(f)+"\n"...)
	}
	return names
}

//export cijepaCreate
func cijepaCreate(args unsafe.Pointer) unsafe.Pointer {
	c := coming
	l := c.native.library
	if fault := C.abi_call(l.table, C.ABI_CLIENT_CREATE, args); fault != nil {
		return fault
	}
	c.native.client = (*C.abi_client_create)(args).client
	c.describe()
	clients.Store(c.native.client, c)
	return nil
}

// describe asks for the platform's version and the kind of the first device. They are part of keys; where the plugin does not
// tell, they are empty.
func (c *Client) describe() {
	l := c.native.library
	text := func(function C.int, of unsafe.Pointer) string {
		args := C.abi_text{client: of}
		if l.call(function, unsafe.Pointer(&args), unsafe.Sizeof(args)) != nil {
			return ""
		}
		return C.GoStringN(args.text, C.int(args.text_size))
	}
	c.version = text(C.ABI_CLIENT_PLATFORM_VERSION, c.native.client)
	devices := C.abi_devices{client: c.native.client}
	if l.call(C.ABI_CLIENT_ADDRESSABLE_DEVICES, unsafe.Pointer(&devices), unsafe.Sizeof(devices)) != nil || devices.num_devices == 0 {
		return
	}
	c.native.device = *devices.devices
	description := C.abi_get{from: c.native.device}
	if l.call(C.ABI_DEVICE_GET_DESCRIPTION, unsafe.Pointer(&description), unsafe.Sizeof(description)) == nil {
		c.kind = text(C.ABI_DEVICE_DESCRIPTION_KIND, description.to)
	}
}

// call calls a function of the plugin, whose arguments begin with their size.
func (l *library) call(function C.int, args unsafe.Pointer, size uintptr) error {
	if !bool(C.abi_has(l.table, function)) {
		return fmt.Errorf("the plugin %s has no function %d", l.path, function)
	}
	*(*C.size_t)(args) = C.size_t(size)
	return l.fault(C.abi_call(l.table, function, args))
}

// fault makes an error of the plugin's.
func (l *library) fault(fault unsafe.Pointer) error {
	if fault == nil {
		return nil
	}
	message := C.abi_error_message{struct_size: C.sizeof_abi_error_message, error: fault}
	C.abi_call(l.table, C.ABI_ERROR_MESSAGE, unsafe.Pointer(&message))
	err := fmt.Errorf("%s", C.GoStringN(message.message, C.int(message.message_size)))
	destroy := C.abi_error_destroy{struct_size: C.sizeof_abi_error_destroy, error: fault}
	C.abi_call(l.table, C.ABI_ERROR_DESTROY, unsafe.Pointer(&destroy))
	return err
}

// Versions are what the plugin tells of itself: the version of PJRT that it speaks, that of its platform, and its attributes.
func (c *Client) Versions() string {
	loaded, err := pjrt.GetPlugin(c.native.library.path)
	if err != nil {
		return ""
	}
	major, minor := loaded.Version()
	words := []string{fmt.Sprintf("PJRT %d.%d", major, minor)}
	if c.version != "" {
		words = append(words, c.version)
	}
	attributes := loaded.Attributes()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		words = append(words, fmt.Sprintf("%s %v", name, attributes[name]))
	}
	return strings.Join(words, ", ")
}

// Flags are XLA_FLAGS as the plugin has read them.
func (c *Client) Flags() string { return c.native.library.flags }

// Memory of the device now, or nil where the plugin does not tell.
func (c *Client) Memory() *DeviceMemory {
	args := C.abi_memory{device: c.native.device}
	if c.native.device == nil || c.native.library.call(C.ABI_DEVICE_MEMORY_STATS, unsafe.Pointer(&args), unsafe.Sizeof(args)) != nil {
		return nil
	}
	m := &DeviceMemory{InUse: int64(args.in_use)}
	if args.peak.set {
		m.Peak = int64(args.peak.value)
	}
	if args.limit.set {
		m.Limit = int64(args.limit.value)
	}
	return m
}

//export cijepaCompile
func cijepaCompile(args unsafe.Pointer) unsafe.Pointer {
	a := (*C.abi_compile)(args)
	c := clientOf(a.client)
	l := c.native.library
	begun := time.Now()
	program := Program{}
	store := c.options.Programs
	if store != nil {
		program.Key = c.key(a)
		if stored := store.Get(program.Key); stored != nil {
			executable, memory, err := c.load(stored)
			if err == nil {
				a.executable = executable
				program.Stored, program.Bytes, program.Memory = true, len(stored), memory
				c.add(program, begun)
				return nil
			}
			c.warn("a stored program cannot be used: it is compiled again", program.Key, err)
		}
	}
	if fault := C.abi_call(l.table, C.ABI_CLIENT_COMPILE, args); fault != nil {
		return fault
	}
	executable, err := l.executable(a.executable)
	if err != nil {
		c.warn("nothing can be known of a program", program.Key, err)
		c.add(program, begun)
		return nil
	}
	defer l.destroy(C.ABI_EXECUTABLE_DESTROY, executable)
	program.Memory = l.memory(executable)
	if store != nil {
		stored, err := l.serialize(executable)
		if err != nil {
			c.warn("a program cannot be stored", program.Key, err)
		} else {
			program.Bytes = len(stored)
			store.Put(program.Key, stored)
		}
	}
	c.add(program, begun)
	return nil
}

func clientOf(client unsafe.Pointer) *Client {
	c, _ := clients.Load(client)
	return c.(*Client)
}

func (c *Client) warn(message, key string, err error) {
	if c.options.Log != nil {
		c.options.Log.Warn(message, "program", key, "error", err)
	}
}

func bytesOf(p *C.char, n C.size_t) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)) }

func (c *Client) key(a *C.abi_compile) string {
	p := a.program
	return keyOf(c.native.library.parts(), []byte(c.version), []byte(c.kind), []byte(c.native.library.flags), bytesOf(p.format, p.format_size),
		bytesOf(p.code, p.code_size), bytesOf(a.options, a.options_size))
}

// load makes an executable of a stored program, and sees to it that go-xla can ask of it what it is going to ask.
func (c *Client) load(stored []byte) (executable unsafe.Pointer, memory *ProgramMemory, err error) {
	program, err := unseal(stored)
	if err != nil {
		return nil, nil, err
	}
	l := c.native.library
	copied := C.CBytes(program)
	defer C.free(copied)
	args := C.abi_deserialize{client: c.native.client, bytes: (*C.char)(copied), bytes_size: C.size_t(len(program))}
	if err := l.call(C.ABI_EXECUTABLE_DESERIALIZE_AND_LOAD, unsafe.Pointer(&args), unsafe.Sizeof(args)); err != nil {
		return nil, nil, err
	}
	inner, err := l.executable(args.executable)
	if err == nil {
		defer l.destroy(C.ABI_EXECUTABLE_DESTROY, inner)
		outputs := C.abi_num_outputs{executable: inner}
		if err = l.call(C.ABI_EXECUTABLE_NUM_OUTPUTS, unsafe.Pointer(&outputs), unsafe.Sizeof(outputs)); err == nil {
			if memory = l.memory(inner); memory == nil {
				err = fmt.Errorf("the plugin tells nothing of its memory")
			}
		}
	}
	if err != nil {
		l.destroy(C.ABI_LOADED_EXECUTABLE_DESTROY, args.executable)
		return nil, nil, err
	}
	return args.executable, memory, nil
}

// executable is what of a loaded executable can be asked; the caller destroys it.
func (l *library) executable(loaded unsafe.Pointer) (unsafe.Pointer, error) {
	args := C.abi_get{from: loaded}
	err := l.call(C.ABI_LOADED_EXECUTABLE_GET_EXECUTABLE, unsafe.Pointer(&args), unsafe.Sizeof(args))
	return args.to, err
}

func (l *library) destroy(function C.int, executable unsafe.Pointer) {
	args := C.abi_destroy{executable: executable}
	_ = l.call(function, unsafe.Pointer(&args), unsafe.Sizeof(args)) // there is nothing to be done about it
}

func (l *library) memory(executable unsafe.Pointer) *ProgramMemory {
	args := C.abi_compiled_memory{executable: executable}
	if l.call(C.ABI_EXECUTABLE_GET_COMPILED_MEMORY_STATS, unsafe.Pointer(&args), unsafe.Sizeof(args)) != nil {
		return nil
	}
	return &ProgramMemory{Code: int64(args.code), Arguments: int64(args.arguments), Outputs: int64(args.outputs),
		Aliased: int64(args.aliased), Temporary: int64(args.temporary), Peak: int64(args.peak)}
}

// serialize gives the stored form of a program.
func (l *library) serialize(executable unsafe.Pointer) ([]byte, error) {
	args := C.abi_serialize{executable: executable}
	if err := l.call(C.ABI_EXECUTABLE_SERIALIZE, unsafe.Pointer(&args), unsafe.Sizeof(args)); err != nil {
		return nil, err
	}
	defer C.abi_delete(&args)
	return seal(bytesOf(args.bytes, args.bytes_size)), nil
}
