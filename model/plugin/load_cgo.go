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
	"unsafe"

	"github.com/gomlx/go-xla/pjrt"
)

// library is a plugin in this process. XLA cannot be unloaded.
type library struct {
	path  string
	table *C.abi_table // the plugin's own
	// version hashes the plugin's file and the packages beside it. It may block for a second.
	version func() []byte
	flags   string // XLA_FLAGS as the plugin has read it, which it does once
}

// native is a client on the C side.
type native struct {
	library *library
	client  unsafe.Pointer
	device  unsafe.Pointer // the first
}

// Plugins are global to the process, as in go-xla, and the callbacks below are not told for which
// Client they are called.
var (
	loading   sync.Mutex // held from Load to the function that it returns
	pending   *Client    // whose client go-xla makes next
	libraries = map[string]*library{}
	clients   sync.Map // *Client by the plugin's client
)

// Load loads the plugin at an absolute path, unless it is loaded. The next client that go-xla makes
// becomes this Client's. The caller calls loaded when go-xla has made it or failed.
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
	pending = &Client{options: o, native: native{library: l}}
	return pending, func() {
		pending = nil
		loading.Unlock()
	}, nil
}

// open loads a plugin and registers a copy of its function table, with two functions of ours, with
// go-xla.
func open(path string, o Options) (*library, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("the plugin %s: must be an absolute path", path)
	}
	version, flags, err := inspect(path, o)
	if err != nil {
		return nil, fmt.Errorf("the plugin: %w", err)
	}
	if flags != o.Flags { // before the plugin is loaded, which reads them once, at any time
		if err := os.Setenv("XLA_FLAGS", flags); err != nil {
			return nil, fmt.Errorf("setting XLA_FLAGS: %w", err)
		}
	}
	openCompanions(path)
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	runtime.LockOSThread() // dlerror is per thread
	defer runtime.UnlockOSThread()
	var fault *C.char
	table := C.open_table(name, &fault)
	switch {
	case fault != nil:
		return nil, fmt.Errorf("loading the plugin %s: %s", path, C.GoString(fault))
	case table == nil:
		return nil, fmt.Errorf("loading the plugin %s: it has no functions", path)
	case !bool(C.abi_has(table, C.ABI_LAST)):
		return nil, fmt.Errorf("loading the plugin %s: its version %d.%d of PJRT is too old",
			path, table.version.major_version, table.version.minor_version)
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
	return &library{path: path, table: table, version: version, flags: flags}, nil
}

// openCompanions opens nvrtc's builtins, which nvrtc opens by their bare name. Unless
// LD_LIBRARY_PATH names the folder of Python's packages, it would not find them, and cuDNN would
// have no plan for attention. Errors are ignored: nvrtc reports them if it needs the library.
func openCompanions(path string) {
	// The plugin is site/jax_plugins/xla_cuda13/xla_cuda_plugin.so.
	site := filepath.Join(filepath.Dir(path), "..", "..")
	found, _ := filepath.Glob(filepath.Join(site, "nvidia", "*", "lib", "libnvrtc-builtins.so.*"))
	for _, library := range found {
		name := C.CString(library)
		C.keep_open(name)
		C.free(unsafe.Pointer(name))
	}
}

// inspect returns what identifies a plugin in keys, and the flags with the wanted ones that it
// knows. XLA aborts the process at an unknown flag; a plugin that knows one has its name among its
// strings. CUDA's plugin is 400 MB, and its checksum takes a second, so it is computed while the
// plugin loads.
func inspect(path string, o Options) (version func() []byte, flags string, err error) {
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
		return nil, "", fmt.Errorf("%s is not a file, or empty", path)
	}
	text, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", path, err)
	}
	flags = o.Flags
	for _, flag := range o.Wanted {
		name := flagName(flag)
		named := slices.ContainsFunc(strings.Fields(flags), func(f string) bool { return flagName(f) == name })
		if !named && bytes.Contains(text, []byte(name+"\x00")) {
			flags = strings.TrimSpace(flags + " " + flag)
		}
	}
	version = sync.OnceValue(func() []byte {
		defer syscall.Munmap(text)
		sum := sha256.Sum256(text)
		return append(sum[:], cudaPackages(path)...)
	})
	go version()
	return version, flags, nil
}

// flagName is the name of an XLA flag.
func flagName(flag string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
	return name
}

// cudaPackages names the installed Python packages of CUDA's libraries, with their versions.
// Programs are compiled for those, and may contain plans of cuDNN.
func cudaPackages(path string) []byte {
	site := filepath.Dir(filepath.Dir(filepath.Dir(path)))
	found, _ := filepath.Glob(filepath.Join(site, "nvidia_*.dist-info")) // fails for malformed patterns only
	var names []byte
	for _, f := range found {
		names = append(names, filepath.Base(f)+"\n"...)
	}
	return names
}

//export cijepaCreate
func cijepaCreate(args unsafe.Pointer) unsafe.Pointer {
	c := pending
	l := c.native.library
	if fault := C.abi_call(l.table, C.ABI_CLIENT_CREATE, args); fault != nil {
		return fault
	}
	c.native.client = (*C.abi_client_create)(args).client
	c.describe()
	clients.Store(c.native.client, c)
	return nil
}

// describe asks for the platform's version and the kind of the first device, which are part of
// keys. If the plugin does not tell, they are empty.
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
	err := l.call(C.ABI_CLIENT_ADDRESSABLE_DEVICES, unsafe.Pointer(&devices), unsafe.Sizeof(devices))
	if err != nil || devices.num_devices == 0 {
		return
	}
	c.native.device = *devices.devices
	description := C.abi_get{from: c.native.device}
	if l.call(C.ABI_DEVICE_GET_DESCRIPTION, unsafe.Pointer(&description), unsafe.Sizeof(description)) == nil {
		c.kind = text(C.ABI_DEVICE_DESCRIPTION_KIND, description.to)
	}
}

// call calls a function of the plugin. Its arguments begin with their size, which call sets.
func (l *library) call(function C.int, args unsafe.Pointer, size uintptr) error {
	if !bool(C.abi_has(l.table, function)) {
		return fmt.Errorf("the plugin %s has no function %d", l.path, function)
	}
	*(*C.size_t)(args) = C.size_t(size)
	return l.fault(C.abi_call(l.table, function, args))
}

// fault turns a plugin's error into one of Go, and frees it.
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

// Versions describe the plugin: the version of PJRT that it speaks, that of its platform, and its
// attributes.
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

// Memory of the device now, or nil if the plugin does not report it.
func (c *Client) Memory() *DeviceMemory {
	if c.native.device == nil {
		return nil
	}
	args := C.abi_memory{device: c.native.device}
	if c.native.library.call(C.ABI_DEVICE_MEMORY_STATS, unsafe.Pointer(&args), unsafe.Sizeof(args)) != nil {
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
