// Package plugin loads PJRT plugins, through which go-xla reaches XLA, and adds what go-xla lacks:
// compiled programs that outlive the process, and the memory of the device and of each program. It
// copies the plugin's function table, replaces the functions that make a client and compile by its
// own, and hands that table to go-xla. It knows no graph, no bucket and no folder. Without cgo
// there is no XLA, and Load fails.
//
//	plugin.go       what is asked and told; the frame and the key of a stored program
//	load_cgo.go     loads plugins and intercepts the making of their clients
//	compile_cgo.go  intercepts compilations, and stores and loads programs
//	abi.h           the part of PJRT's C interface that is called
//	load_plain.go   instead of them without cgo
package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

// Store keeps compiled programs between processes, by keys that name all that a program depends on.
// Several compilations may call it at once. It logs its failures itself: a program that it does not
// have is compiled.
type Store interface {
	// Get returns what Put stored under a key, or nil. It may be damaged.
	Get(key string) []byte
	// Put stores a program under a key and replaces what is there.
	Put(key string, program []byte)
}

// Options are given to a plugin beside its own options.
type Options struct {
	Programs Store        // nil: every program is compiled
	Flags    string       // the value of XLA_FLAGS: it changes what is compiled
	Wanted   []string     // more flags, "--xla_gpu_x=true", if the plugin knows them and Flags lacks them
	Log      *slog.Logger // nil: none
}

// Program is a program that was compiled, or that came from the store.
type Program struct {
	Key     string
	Stored  bool // it came from the store
	Bytes   int  // size of its stored form; 0: it has none
	Seconds float64
	Memory  *ProgramMemory // nil: not reported
}

// ProgramMemory is the device memory of a program, in bytes, by the compiler's plan.
type ProgramMemory struct {
	Code      int64 `json:"code"`
	Arguments int64 `json:"arguments"`
	Outputs   int64 `json:"outputs"`
	Aliased   int64 `json:"aliased"` // outputs in the memory of arguments
	Temporary int64 `json:"temporary"`
	Peak      int64 `json:"peak"` // 0: not reported
}

// Total is what a call of the program has on the device: code, arguments, outputs and temporary
// arrays.
func (m ProgramMemory) Total() int64 {
	return m.Code + m.Arguments + m.Outputs - m.Aliased + m.Temporary
}

// DeviceMemory is the memory of the device, in bytes; 0: not reported.
type DeviceMemory struct {
	InUse int64 `json:"in_use"`
	Peak  int64 `json:"peak"`
	Limit int64 `json:"limit"`
}

// frame begins a stored program, followed by the sha256 of the rest. The plugin trusts what it
// reads, so a damaged program must not reach it.
const frame = "cijepa program 1\n"

func seal(program []byte) []byte {
	sum := sha256.Sum256(program)
	return append(append([]byte(frame), sum[:]...), program...)
}

// unseal checks and removes the frame.
func unseal(stored []byte) ([]byte, error) {
	if len(stored) < len(frame)+sha256.Size || string(stored[:len(frame)]) != frame {
		return nil, fmt.Errorf("%d bytes that are no stored program", len(stored))
	}
	sum, program := [sha256.Size]byte(stored[len(frame):]), stored[len(frame)+sha256.Size:]
	if sha256.Sum256(program) != sum {
		return nil, fmt.Errorf("damaged: %d bytes whose sha256 is another", len(program))
	}
	return program, nil
}

// moduleName begins a program in StableHLO. GoMLX numbers the programs of a function in the order
// in which they are asked for, which varies when several are compiled at once.
var moduleName = regexp.MustCompile(`^module @\S+`)

// unnamed is a program without its name, so that its key is the same in every process.
func unnamed(code []byte) []byte { return moduleName.ReplaceAll(code, []byte("module")) }

// keyOf is a hash of all that decides what is compiled.
func keyOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Client is a client of a plugin: one device, and what was compiled for it.
type Client struct {
	options Options
	kind    string // of the device
	version string // of the platform

	mu       sync.Mutex
	programs []Program
	native   native
}

// Programs lists what was compiled so far.
func (c *Client) Programs() []Program {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Program(nil), c.programs...)
}

// Card is the kind of the device in the plugin's words, such as "NVIDIA H100 80GB HBM3".
func (c *Client) Card() string { return c.kind }

func (c *Client) add(p Program, begun time.Time) {
	p.Seconds = time.Since(begun).Seconds()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.programs = append(c.programs, p)
}
