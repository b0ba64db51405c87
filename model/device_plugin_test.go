//go:build cgo

package model

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shelf is a store of programs in memory that counts its calls.
type shelf struct {
	kept       map[string][]byte
	gets, puts int
}

func (s *shelf) Get(key string) []byte { s.gets++; return s.kept[key] }

func (s *shelf) Put(key string, program []byte) { s.puts++; s.kept[key] = slices.Clone(program) }

// storedSteps takes steps on a device with a store and returns their losses, how many programs came
// from the store, and the log.
func storedSteps(t *testing.T, path string, s *shelf) (losses []float64, stored int, log string) {
	t.Helper()
	var lines bytes.Buffer
	d := openPlugin(t, path, DeviceOptions{Programs: s, Flags: os.Getenv("XLA_FLAGS"), Log: slog.New(slog.NewTextHandler(&lines, nil))})
	defer d.Close()
	l, err := NewLearner(d, tiny(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for step := range int64(3) {
		losses = append(losses, take(t, l, stepInput(t, l, step)).Loss)
	}
	for _, p := range d.Compiled() {
		if p.Key == "" || p.Bytes == 0 || p.Memory == nil || p.Memory.Total() <= 0 {
			t.Errorf("of a program is known %+v", p)
		}
		if p.Stored {
			stored++
		}
	}
	return losses, stored, lines.String()
}

// A second device takes from the store what the first one has compiled, with the same results. A
// damaged entry is logged in one line and compiled again. The test runs on the plugin that computes
// nothing, or on the one that CIJEPA_XLA_PLUGIN names.
func TestProgramsAreStored(t *testing.T) {
	path := os.Getenv("CIJEPA_XLA_PLUGIN")
	if path == "" {
		path, _ = buildPlugin(t)
	}
	s := &shelf{kept: map[string][]byte{}}
	want, stored, log := storedSteps(t, path, s)
	programs := s.puts
	if stored != 0 || programs == 0 || programs != len(s.kept) || s.gets != programs || log != "" {
		t.Fatalf("%d programs, %d from an empty store, asked for %d: %s", programs, stored, s.gets, log)
	}
	again := func(what string, fromStore, lines int) {
		t.Helper()
		got, stored, log := storedSteps(t, path, s)
		if !slices.Equal(got, want) {
			t.Errorf("%s: losses %v, want %v", what, got, want)
		}
		if stored != fromStore || strings.Count(log, "\n") != lines || s.puts != programs+lines {
			t.Errorf("%s: %d programs from the store, want %d; stored %d times, want %d; log:\n%s", what, stored, fromStore, s.puts, programs+lines, log)
		}
		s.puts = programs
	}
	again("whole", programs, 0)
	for what, spoil := range map[string]func([]byte) []byte{
		"flipped": func(p []byte) []byte { p[len(p)-1] ^= 1; return p },
		"cut":     func(p []byte) []byte { return p[:len(p)/2] },
		"whole, but no program": func([]byte) []byte {
			sum := sha256.Sum256([]byte("nonsense"))
			return append(append([]byte("cijepa program 1\n"), sum[:]...), "nonsense"...)
		},
		"empty": func([]byte) []byte { return []byte{} },
		"foreign": func([]byte) []byte {
			return []byte("a file of another program, longer than any frame could be, which says nothing here")
		},
	} {
		for key, program := range s.kept {
			s.kept[key] = spoil(slices.Clone(program))
			break // one is enough
		}
		again(what, programs-1, 1)
	}
}

// Shapes that are compiled at once come in any order, and GoMLX numbers them by it. The store knows
// a program by what it computes.
func TestStoredProgramsServeInAnyOrder(t *testing.T) {
	path, _ := buildPlugin(t)
	s := &shelf{kept: map[string][]byte{}}
	for i, order := range [][]int{{0, 1}, {1, 0}} {
		d := openPlugin(t, path, DeviceOptions{Programs: s})
		p, err := newPrograms(newNetwork(tiny(), d), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, shape := range order {
			lengths := tinyLengths[shape]
			if err := p.compile(programShape{context: lengths.Context, target: lengths.Target, blocks: tiny().Masks.TargetBlocks}); err != nil {
				t.Fatal(err)
			}
		}
		for _, program := range d.Compiled() {
			if program.Stored != (i == 1) {
				t.Errorf("device %d: the program %s is stored: %t", i, program.Key, program.Stored)
			}
		}
		p.free()
	}
}

func TestPluginReportsCardAndMemory(t *testing.T) {
	path, _ := buildPlugin(t)
	d := openPlugin(t, path, DeviceOptions{})
	if d.Card() != "No Card" || !strings.HasSuffix(d.Description(), "No Card") {
		t.Errorf("the card is %q, the device %q", d.Card(), d.Description())
	}
	if got := d.Memory(); got != nil {
		t.Errorf("memory of nothing: %+v", got)
	}
	t.Setenv("PLUGIN_MEMORY", "1000")
	if got := d.Memory(); got == nil || got.Limit != 1000 {
		t.Errorf("memory %+v, want a limit of 1000", got)
	}
}

// The flags that make a GPU exact are added to XLA_FLAGS if the plugin knows them.
func TestWantedFlagsAreAdded(t *testing.T) {
	path, _ := buildPlugin(t)
	knows, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const given = "--xla_other=1 --xla_gpu_exclude_nondeterministic_ops_more=2" // the second is another flag
	t.Setenv("XLA_FLAGS", given)                                                // and is put back when the test ends
	if _, err := knows.WriteString("xla_gpu_exclude_nondeterministic_ops\x00"); err != nil {
		t.Fatal(err)
	}
	if err := knows.Close(); err != nil {
		t.Fatal(err)
	}
	openPlugin(t, path, DeviceOptions{Flags: given})
	if got, want := os.Getenv("XLA_FLAGS"), given+" --xla_gpu_exclude_nondeterministic_ops=true"; got != want {
		t.Errorf("XLA_FLAGS is %q, want %q", got, want)
	}
	ignorant, _ := buildPlugin(t)
	t.Setenv("XLA_FLAGS", "--xla_other=2")
	openPlugin(t, ignorant, DeviceOptions{Flags: "--xla_other=2"})
	if got := os.Getenv("XLA_FLAGS"); got != "--xla_other=2" {
		t.Errorf("XLA_FLAGS is %q for a plugin that does not know more", got)
	}
}

// NVRTC's builtins, which NVIDIA's libraries open by their bare name, are open wherever Python's
// packages are installed.
func TestNvrtcBuiltinsAreOpened(t *testing.T) {
	built, site := buildPlugin(t)
	plugin := filepath.Join(site, "jax_plugins", "xla_cuda13", filepath.Base(built))
	library := filepath.Join(site, "nvidia", "cu13", "lib", "libnvrtc-builtins.so.13.0")
	if err := errors.Join(os.MkdirAll(filepath.Dir(plugin), 0o700), os.MkdirAll(filepath.Dir(library), 0o700), os.Rename(built, plugin)); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("gcc", "-shared", "-o", library, "-x", "c", "-")
	build.Stdin = strings.NewReader("int builtins;")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	openPlugin(t, plugin, DeviceOptions{})
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	if !strings.Contains(string(maps), library) {
		t.Errorf("%s is not open", library)
	}
}
