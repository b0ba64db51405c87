package model

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/plugin"
)

// Device is where programs run: a GoMLX backend. Its name is "go:ops_sequential" or
// "go:parallelism=64" for the pure Go backend, or for XLA "xla:" and the absolute path of a PJRT
// plugin.
type Device struct {
	backend compute.Backend
	name    string
	client  *plugin.Client // nil: not a plugin
	close   sync.Once
	busy    atomic.Int64 // nanoseconds
}

// DeviceOptions are for a device that is an XLA plugin. Other devices ignore them.
type DeviceOptions struct {
	Programs plugin.Store // of compiled programs; nil: every program is compiled
	Flags    string       // the value of XLA_FLAGS
	Log      *slog.Logger // nil: none
}

// What a plugin reports of its memory and its programs.
type (
	DeviceMemory  = plugin.DeviceMemory
	ProgramMemory = plugin.ProgramMemory
)

// wantedFlags are set for a GPU unless XLA_FLAGS names the same flag.
var wantedFlags = []string{
	// The same bits in every process: no kernel whose sums depend on the order of arrival. The
	// choice of kernels is part of a compiled program, so the store keeps it.
	"--xla_gpu_exclude_nondeterministic_ops=true",
	// The flag above removes Triton's kernels from the choice, but XLA has already turned every
	// product into one for Triton by then.
	"--xla_gpu_enable_triton_gemm=false",
	// Nothing is left to tune. Where the tuner has nothing to measure, it gives a product 4 MB of
	// work space (seen in programs compiled without a card), which is too little to split one over
	// the tokens, as gradients of weights need it. Without the tuner they have 32 MB.
	"--xla_gpu_autotune_level=0",
	// Arrays have other addresses in every step, and a CUDA graph is recorded again when they
	// change, while the device waits. Plain launches run ahead of kernels of this size.
	"--xla_gpu_enable_command_buffer=",
	// A partition of the memory for collectives, of which one GPU has none, leaves less room for
	// the large arrays of a step.
	"--xla_gpu_enable_allocator_spatial_partitioning=false",
}

// leastWorkers of the Go backend: each large product holds a worker while it waits for another one,
// so as many at once hang. A step has far fewer.
const leastWorkers = 64

// goesOn reports whether the Go backend cannot hang with these options.
func goesOn(options string) bool {
	for option := range strings.SplitSeq(options, ",") {
		value, many := strings.CutPrefix(option, "parallelism=")
		n, err := strconv.Atoi(value)
		if option == "ops_sequential" || many && err == nil && (n >= leastWorkers || n < 0) {
			return true
		}
	}
	return false
}

// Open opens a backend by its GoMLX name. The binary must import the backend; nothing is ever
// downloaded; a plugin that is not there is also fs.ErrNotExist. A plain "go" is rejected, because
// the default pool of the Go backend can deadlock under large products. A plugin reads XLA_FLAGS,
// with those wanted flags added that it knows.
func (o DeviceOptions) Open(name string) (d *Device, err error) {
	defer recovered(&err, "opening device "+name)
	kind, options, _ := strings.Cut(name, ":")
	if kind == "go" && !goesOn(options) {
		return nil, fieldError("Device", name,
			`must be "go:ops_sequential" or "go:parallelism=N", N at least %d: with fewer workers, as by default, it can hang`, leastWorkers)
	}
	path, _, _ := strings.Cut(options, ",")
	switch known := slices.Contains(compute.List(), kind); {
	case kind != "go" && kind != "xla":
		return nil, fieldError("Device", name,
			`must be "go:ops_sequential", "go:parallelism=N" or "xla:" and the absolute path of a plugin`)
	case kind == "xla" && !known:
		return nil, fieldError("Device", name,
			"this program was built without XLA: build it with cgo, for which it takes a C compiler and libjpeg-turbo")
	case kind == "xla" && !filepath.IsAbs(path):
		return nil, fieldError("Device", name, `must be "xla:" and the absolute path of a plugin: none is looked for`)
	case !known:
		return nil, errors.New("opening device: this program does not contain the backend " + kind)
	}
	if kind == "xla" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", fieldError("Device", name, "there is no file %s", path), err)
		}
	}
	d = &Device{name: name}
	if kind == "xla" {
		var loaded func()
		given := plugin.Options{Programs: o.Programs, Flags: o.Flags, Wanted: wantedFlags, Log: o.Log}
		d.client, loaded, err = plugin.Load(path, given)
		if err != nil {
			return nil, fmt.Errorf("opening device %s: %w", name, err)
		}
		defer loaded()
	}
	config := name
	if kind == "xla" && !strings.Contains(options, ",tf32=") {
		config += ",tf32=false" // otherwise go-xla lets a GPU round float32 products to TF32
	}
	if d.backend, err = compute.NewWithConfig(config); err != nil {
		return nil, fmt.Errorf("opening device %s: %w", name, err)
	}
	return d, nil
}

// Description says in a few words what the backend runs on; a plugin goes by the name of its file.
func (d *Device) Description() string {
	if d.client == nil {
		return d.backend.Description()
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(d.name, "xla:"), ",")
	name, _, _ := strings.Cut(d.backend.DeviceDescription(0), " [processId")
	text := fmt.Sprintf("XLA, %s, %s", filepath.Base(path), name)
	if n := d.backend.NumDevices(); n > 1 {
		text += fmt.Sprintf(", the first of %d", n)
	}
	return text + ", " + d.Card()
}

// Busy is the time that programs have run so far, from the call to the results. It includes the
// compilation in the first call of a program that was not compiled ahead.
func (d *Device) Busy() time.Duration { return time.Duration(d.busy.Load()) }

// addBusy adds the time of a program that ends now.
func (d *Device) addBusy(since time.Time) { d.busy.Add(int64(time.Since(since))) }

// Card is the kind of the device in the plugin's words, such as "NVIDIA H100 80GB HBM3"; empty
// without a plugin.
func (d *Device) Card() string {
	if d.client == nil {
		return ""
	}
	return d.client.Card()
}

// Flags are XLA_FLAGS as the plugin has read them; empty without a plugin.
func (d *Device) Flags() string {
	if d.client == nil {
		return ""
	}
	return d.client.Flags()
}

// Memory of the device now; nil if it is not reported.
func (d *Device) Memory() *DeviceMemory {
	if d.client == nil {
		return nil
	}
	return d.client.Memory()
}

// Compiled lists the programs that a plugin was asked for so far, in order.
func (d *Device) Compiled() []plugin.Program {
	if d.client == nil {
		return nil
	}
	return d.client.Programs()
}

// Close frees the device. Whatever was made on it must not be used any more.
func (d *Device) Close() { d.close.Do(d.backend.Finalize) }

// Fused says whether attention is one operation of the named device: cuDNN's flash attention, in
// bfloat16. GoMLX recognises CUDA by the name of the plugin.
func (c Config) Fused(device string) bool {
	cuda := strings.HasPrefix(device, "xla") && (strings.Contains(device, "cuda") || strings.Contains(device, "nvidia"))
	return cuda && c.Precision == BFloat16 && !c.PlainAttention
}

// recovered turns a panic of GoMLX, whose graph functions report errors by panicking, into an
// error. Every exported function that builds or runs a graph defers it.
func recovered(err *error, doing string) {
	switch p := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("%s: %w", doing, p)
	default:
		*err = fmt.Errorf("%s: %v", doing, p)
	}
}

// run calls a program with the inputs, which it frees, the borrowed arrays, and the owned ones. The
// program takes the owned arrays last, donated, and returns as many last, which replace them. The
// other results come to the host. After an error the owned arrays are gone.
func (d *Device) run(
	program *graph.Exec, inputs, borrowed []*tensors.Tensor, owned []**tensors.Tensor,
) (results [][]float64, err error) {
	defer recovered(&err, "running "+program.Name())
	defer func() {
		for _, t := range inputs {
			err = errors.Join(err, t.FinalizeAll())
		}
	}()
	var arguments []any
	for _, t := range join(inputs, borrowed) {
		arguments = append(arguments, t)
	}
	var given []compute.Buffer
	for _, t := range owned {
		if d.client != nil {
			buffer, err := (*t).Buffer(d.backend, 0)
			if err != nil {
				return nil, fmt.Errorf("running %s: %w", program.Name(), err)
			}
			given = append(given, buffer)
		}
		donated, err := graph.DonateTensorBuffer(*t, d.backend, 0)
		if err != nil {
			return nil, fmt.Errorf("running %s: %w", program.Name(), err)
		}
		arguments = append(arguments, donated)
	}
	defer d.addBusy(time.Now())
	outputs, err := program.Call(arguments...)
	if err != nil {
		for _, buffer := range given { // Go's garbage collector would free them much later
			err = errors.Join(err, buffer.Finalize())
		}
		return nil, fmt.Errorf("running %s: %w", program.Name(), err)
	}
	n := len(outputs) - len(owned)
	for i, t := range owned {
		*t = outputs[n+i]
	}
	for _, t := range outputs[:n] {
		values, err := tensors.CopyFlatData[float32](t)
		if err = errors.Join(err, t.FinalizeAll()); err != nil {
			return nil, fmt.Errorf("running %s: %w", program.Name(), err)
		}
		wide := make([]float64, len(values))
		for i, x := range values {
			wide[i] = float64(x)
		}
		results = append(results, wide)
	}
	return results, nil
}

// ErrUpload is a failed copy to the device.
var ErrUpload = errors.New("uploading")

// upload copies an array of float32 values, little-endian, to the device.
func (d *Device) upload(data []byte, dims []int) (*tensors.Tensor, error) {
	t, err := tensors.FromRaw(d.backend, 0, floatShape(dims...), data)
	if err != nil {
		return nil, fmt.Errorf("%w an array %v: %w", ErrUpload, dims, err)
	}
	return t, nil
}

// download copies an array to the host, as bytes.
func (d *Device) download(t *tensors.Tensor) ([]byte, error) {
	values := make([]float32, t.Shape().Size())
	buffer, err := t.Buffer(d.backend, 0)
	if err == nil {
		err = buffer.ToFlatData(values) // Tensor's own accessors keep a host copy alive; this does not
	}
	if err != nil {
		return nil, fmt.Errorf("downloading an array %v: %w", t.Shape().Dimensions, err)
	}
	return dtypes.UnsafeByteSliceFromAny(values), nil
}

// Plugin describes the PJRT plugin that runs the programs: the version of the interface that it
// speaks, that of its platform, and its attributes, such as the versions of XLA and StableHLO that
// it was built from. It is empty for the pure Go backend.
func (d *Device) Plugin() string {
	if d.client == nil {
		return ""
	}
	return d.client.Versions()
}
