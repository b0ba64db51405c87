// Package plugin gives a PJRT plugin, through which go-xla reaches XLA, what go-xla lacks: compiled programs that outlive the
// process, and a look at the memory of the device and of each program. It does so between the two: it loads the plugin,
// copies the table of its functions, puts its own in the place of those that make a client and compile, and hands that
// table to go-xla. It knows no graph, no bucket and no folder. Without cgo there is no XLA, and Load does nothing.
package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Store keeps compiled programs. Its methods may be called by several compilations at once; what fails there they tell a log, as
// a program that is not there is compiled.
type Store interface {
	// Get returns what Put stored under a key, or nil. It need not be whole.
	Get(key string) []byte
	// Put keeps a program under a key, in the place of what is there.
	Put(key string, program []byte)
}

// Options say what a plugin is given beside its own options.
type Options struct {
	Programs Store        // nil: every program is compiled
	Flags    string       // the value of XLA_FLAGS: it changes what is compiled
	Wanted   []string     // flags, such as "--xla_gpu_x=true", to add to it where the plugin knows them and it does not name them
	Log      *slog.Logger // nil: none
}

// Program is one that was compiled, or that the store had.
type Program struct {
	Key     string
	Stored  bool // it came from the store
	Bytes   int  // of its stored form; 0: it has none
	Seconds float64
	Memory  *ProgramMemory // nil: the plugin does not tell
}

// ProgramMemory is the memory of the device that a program takes, in bytes, as the compiler planned it.
type ProgramMemory struct {
	Code      int64 `json:"code"`
	Arguments int64 `json:"arguments"`
	Outputs   int64 `json:"outputs"`
	Aliased   int64 `json:"aliased"` // of the outputs, in the place of arguments
	Temporary int64 `json:"temporary"`
	Peak      int64 `json:"peak"` // 0: not told
}

// Total is what a call of the program has on the device: its code, arguments, outputs and what it works in.
func (m ProgramMemory) Total() int64 {
	return m.Code + m.Arguments + m.Outputs - m.Aliased + m.Temporary
}

// DeviceMemory is the memory of the device, in bytes; 0 is what the plugin does not tell.
type DeviceMemory struct {
	InUse int64 `json:"in_use"`
	Peak  int64 `json:"peak"`
	Limit int64 `json:"limit"`
}

// A stored program is its frame, then what the plugin made of it: a program that is damaged must not reach the plugin, which
// trusts what it reads.
const frame = "cijepa program 1\n"

func seal(program []byte) []byte {
	sum := sha256.Sum256(program)
	return append(append([]byte(frame), sum[:]...), program...)
}

// unseal takes a stored program out of its frame.
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

// keyOf names a program by all that decides what is compiled: the program, the options, the flags, the plugin, the card.
func keyOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Client is what a plugin's client has compiled, and where.
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
