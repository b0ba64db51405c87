package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cijepa/cijepa/model/safetensors"
)

// The arrays of a state have the names and shapes that the reference gives them.
func TestStateHasTheReferencesNames(t *testing.T) {
	g := readGolden(t, filepath.Join("testdata", "objective-hierarchy.safetensors"))
	l := g.learner(t, testDevice(t))
	shapes := map[string][]int{}
	for name, file := range stateFiles(t, l) {
		entries, _ := safetensorsHeader(t, bytes.NewReader(file))
		for array, e := range entries {
			if shapes[array] != nil {
				t.Errorf("%s is in %s and in another part", array, name)
			}
			shapes[array] = e.Shape
		}
	}
	compared := 0
	for name, want := range g.tensors {
		for _, prefix := range []string{"before/", "step2/after/"} {
			if name, ok := strings.CutPrefix(name, prefix); ok {
				compared++
				if !slices.Equal(shapes[name], want.dims) {
					t.Errorf("%s has the shape %v, want %v", name, shapes[name], want.dims)
				}
			}
		}
	}
	if compared < len(shapes) {
		t.Errorf("the state has %d arrays, of which the reference names %d", len(shapes), compared)
	}
}

// Parts can be written repeatedly and in parallel while the learner goes on.
func TestSnapshotIsIndependent(t *testing.T) {
	l := newTestLearner(t, tiny())
	take(t, l, stepInput(t, l, 0))
	want := stateFiles(t, l)
	s, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, p := range slices.Concat(s, s) {
		writers.Go(func() {
			var file bytes.Buffer
			if err := p.Write(&file); err != nil || int64(file.Len()) != p.Size || !bytes.Equal(file.Bytes(), want[p.Name]) {
				t.Errorf("%s: %d bytes, not the %d of the moment of the snapshot: %v", p.Name, file.Len(), p.Size, err)
			}
		})
	}
	for step := range int64(3) {
		take(t, l, stepInput(t, l, 1+step))
	}
	writers.Wait()
}

// Writing a snapshot allocates hardly any memory.
func TestWritingTakesNoMemory(t *testing.T) {
	c := tiny()
	c.Width, c.PredictorWidth = 128, 64
	l := newTestLearner(t, c)
	s, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	var size int64
	runtime.ReadMemStats(&before)
	for _, p := range s {
		if err := p.Write(io.Discard); err != nil {
			t.Fatal(err)
		}
		size += p.Size
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; float64(allocated) > 0.1*float64(size) {
		t.Errorf("writing a state of %d bytes allocated %d", size, allocated)
	}
}

// A state with any fault in any part leaves the learner as it was, and the error wraps the reader's
// own.
func TestLoadTakesAllOrNothing(t *testing.T) {
	l := newTestLearner(t, tiny())
	take(t, l, stepInput(t, l, 0))
	good := stateFiles(t, l)
	take(t, l, stepInput(t, l, 1))
	before := stateFiles(t, l)
	torn := errors.New("torn")
	const last = "predictor-03.safetensors"
	faults := map[string]func(part string) (io.ReadCloser, error){
		"missing": func(string) (io.ReadCloser, error) { return nil, torn },
		"torn in the middle": func(part string) (io.ReadCloser, error) {
			half := bytes.NewReader(good[part][:len(good[part])/2])
			return io.NopCloser(io.MultiReader(half, failing{torn})), nil
		},
		"found corrupt at its end": func(part string) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(good[part]), failing{torn})), nil
		},
		"cut short": func(part string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(good[part][:len(good[part])-1])), nil
		},
		"too long": func(part string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(append(slices.Clone(good[part]), 0))), nil
		},
		"another part": func(string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(good["predictor-02.safetensors"])), nil
		},
		"of another step count": func(part string) (io.ReadCloser, error) {
			one, two := []byte{0, 0, 0x80, 0x3f}, []byte{0, 0, 0, 0x40}
			header := 8 + binary.LittleEndian.Uint64(good[part])
			file := slices.Clone(good[part])
			copy(file[header:], bytes.Replace(file[header:header+4], one, two, 1))
			return io.NopCloser(bytes.NewReader(file)), nil
		},
		"empty": func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil },
		"of a monstrous header": func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("\xff\xff\xff\xff\xff\xff\xff\x7f{}")), nil
		},
	}
	for name, fault := range faults {
		err := l.Load(func(part string) (io.ReadCloser, error) {
			if part == last {
				return fault(part)
			}
			return opener(good)(part)
		})
		if err == nil || !strings.Contains(err.Error(), last) {
			t.Errorf("a last part %s: %v", name, err)
		}
		if strings.HasPrefix(name, "torn") || name == "missing" || strings.HasPrefix(name, "found") {
			if !errors.Is(err, torn) {
				t.Errorf("a last part %s: the reader's error is lost in %v", name, err)
			}
		}
		if errors.Is(err, safetensors.ErrFormat) == errors.Is(err, torn) {
			t.Errorf("a last part %s: %v is ErrFormat or its reader's", name, err)
		}
		after := stateFiles(t, l)
		for part := range before {
			if !bytes.Equal(before[part], after[part]) {
				t.Fatalf("a last part %s: %s changed", name, part)
			}
		}
	}
	if err := l.Load(opener(good)); err != nil {
		t.Fatal(err)
	}
	after := stateFiles(t, l)
	for part := range good {
		if !bytes.Equal(good[part], after[part]) {
			t.Errorf("%s is not what was loaded", part)
		}
	}
}

// failing is a reader that fails with its error.
type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// python runs a script of testdata with the interpreter that CIJEPA_PYTHON names, which has torch,
// safetensors and timm.
func python(t *testing.T, script string, arguments ...string) []byte {
	t.Helper()
	interpreter := os.Getenv("CIJEPA_PYTHON")
	if interpreter == "" {
		t.Skip("only with CIJEPA_PYTHON, an interpreter that has torch, safetensors and timm")
	}
	output, err := exec.Command(interpreter, append([]string{filepath.Join("testdata", script)}, arguments...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", script, err, output, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// Python's safetensors and torch read a state to the bit.
func TestPythonReadsState(t *testing.T) {
	l := newTestLearner(t, tiny())
	take(t, l, stepInput(t, l, 0))
	folder := t.TempDir()
	want := map[string]string{}
	var paths []string
	linear := 0
	for name, file := range stateFiles(t, l) {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		r := bytes.NewReader(file)
		entries, order := safetensorsHeader(t, r)
		for _, array := range order {
			hash := sha256.New()
			if _, err := io.CopyN(hash, r, entries[array].Offsets[1]-entries[array].Offsets[0]); err != nil {
				t.Fatal(err)
			}
			want[array] = hex.EncodeToString(hash.Sum(nil))
			if len(entries[array].Shape) == 2 {
				linear++
			}
		}
	}
	var got struct {
		Hashes map[string]string
		Layers int
	}
	decode(t, python(t, "read_state.py", paths...), &got)
	if len(got.Hashes) != len(want) || got.Layers != linear {
		t.Errorf("Python read %d arrays and loaded %d linear layers, want %d and %d", len(got.Hashes), got.Layers, len(want), linear)
	}
	for name, hash := range want {
		if got.Hashes[name] != hash {
			t.Errorf("%s differs in Python", name)
		}
	}
	t.Logf("Python's safetensors and torch read %d arrays, and loaded %d linear layers", len(want), linear)
}
