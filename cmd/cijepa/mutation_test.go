package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/report"
	"github.com/cijepa/cijepa/storage"
)

// mutations are what may happen to an object of a bucket. other is another object of the same kind,
// or the same one.
var mutations = []struct {
	name   string
	mutate func(r *rand.Rand, text, other []byte) []byte // nil: the object is deleted
}{
	{"bit", func(r *rand.Rand, text, _ []byte) []byte { text[r.IntN(len(text))] ^= 1 << r.IntN(8); return text }},
	{"bit at its end", func(r *rand.Rand, text, _ []byte) []byte {
		text[len(text)-1-r.IntN(min(len(text), 100))] ^= 1 << r.IntN(8)
		return text
	}},
	{"digit", func(r *rand.Rand, text, _ []byte) []byte {
		at := slices.IndexFunc(text, func(b byte) bool { return b >= '0' && b <= '9' })
		for range r.IntN(50) {
			if next := slices.IndexFunc(text[at+1:], func(b byte) bool { return b >= '0' && b <= '9' }); next >= 0 {
				at += 1 + next
			}
		}
		if at >= 0 {
			text[at] = '0' + (text[at]-'0'+1+byte(r.IntN(8)))%10
		}
		return text
	}},
	{"byte", func(r *rand.Rand, text, _ []byte) []byte {
		text[r.IntN(len(text))] += 1 + byte(r.IntN(255))
		return text
	}},
	{"cut", func(r *rand.Rand, text, _ []byte) []byte { return text[:r.IntN(len(text))] }},
	{"empty", func(*rand.Rand, []byte, []byte) []byte { return []byte{} }},
	{"longer", func(r *rand.Rand, text, _ []byte) []byte { return append(text, text[:1+r.IntN(len(text))]...) }},
	{"zeros", func(r *rand.Rand, text, _ []byte) []byte {
		from := r.IntN(len(text))
		clear(text[from:min(len(text), from+4096)])
		return text
	}},
	{"another", func(_ *rand.Rand, _, other []byte) []byte { return other }},
	{"deleted", func(*rand.Rand, []byte, []byte) []byte { return nil }},
}

// kindOf is the kind of an object, for the table.
func kindOf(key string) string {
	switch dir, name := path.Split(key); {
	case strings.HasPrefix(dir, "runs/tiny/state/"):
		return "state/ " + name
	case strings.HasPrefix(dir, "runs/tiny/metrics/"):
		kind := name[:strings.IndexAny(name, "-.")]
		return "metrics/ " + kind
	case dir == "runs/tiny/manifest/":
		return "manifest/"
	case strings.HasSuffix(name, ".tar"):
		return "shard"
	default:
		return name
	}
}

// halfDone are three buckets: a run that was killed in pretraining, one in the probe, and one that
// is done.
func halfDone(t *testing.T) (folders []string) {
	t.Helper()
	bucket := newBucket(t)
	keep := func() {
		t.Helper()
		folder := t.TempDir()
		if err := os.CopyFS(folder, os.DirFS(strings.TrimPrefix(bucket, "file://"))); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
	}
	p, log := start(t, bucket)
	for begin := time.Now(); strings.Count(log.String(), `"msg":"saved"`) < 4; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("four checkpoints are not committed\n%s", log)
		}
	}
	_ = p.Process.Signal(syscall.SIGKILL)
	wait(t, p)
	keep()
	p, log = start(t, bucket)
	waitFor(t, log, `"msg":"saved","run":"tiny","phase":"probe"`)
	_ = p.Process.Signal(syscall.SIGKILL)
	wait(t, p)
	keep()
	same(t, "before any mutation", finish(t, bucket))
	keep()
	return folders
}

// reportPage makes the page of a bucket. Pictures take most of a report's time, and show nothing
// else.
func reportPage(t *testing.T, folder string) error {
	t.Helper()
	b, err := storage.Open(t.Context(), "file://"+folder, storage.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := report.Read(t.Context(), b, references())
	if err != nil {
		return err
	}
	return r.HTML(io.Discard)
}

// TestMutations changes one object of a half-done run at a time, in one of ten ways: a run goes on
// to the figures of the run that was left alone, or ends with 65, or with 64 where its settings no
// longer fit its data, and never with other figures, a crash or silence. The report of each bucket
// can be made. CIJEPA_TEST_MUTATIONS sets the number of mutations, and CIJEPA_TEST_SEED the choice
// of them. It is independent of the kills: nothing is killed after the mutation.
func TestMutations(t *testing.T) {
	wanted, err := strconv.Atoi(asked["CIJEPA_TEST_MUTATIONS"])
	if err != nil {
		t.Skip("only with CIJEPA_TEST_MUTATIONS, a number")
	}
	seed, err := strconv.ParseUint(asked["CIJEPA_TEST_SEED"], 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	begin := time.Now()
	alone(t)
	type object struct {
		folder int
		key    string
	}
	folders := halfDone(t)
	byKind := map[string][]object{}
	for i, folder := range folders {
		if err := fs.WalkDir(os.DirFS(folder), ".", func(key string, d fs.DirEntry, err error) error {
			info, ierr := d.Info()
			if err = errors.Join(err, ierr); err == nil && info.Mode().IsRegular() && info.Size() > 0 && (i < 2 || key == "runs/tiny/result.json" || key == "runs/tiny/run.json") {
				byKind[kindOf(key)] = append(byKind[kindOf(key)], object{i, key})
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	var kinds []string
	for kind := range byKind {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	var mu sync.Mutex
	table := map[string]map[string]int{}
	count := func(kind, how string) {
		mu.Lock()
		defer mu.Unlock()
		if table[kind] == nil {
			table[kind] = map[string]int{}
		}
		table[kind][how]++
	}
	t.Run("each", func(t *testing.T) {
		for i := range wanted {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				kind := kinds[i%len(kinds)]
				// Of each kind every way comes in turn.
				way := mutations[(i/len(kinds)+i%len(kinds))%len(mutations)]
				of := byKind[kind][r.IntN(len(byKind[kind]))]
				other := byKind[kind][r.IntN(len(byKind[kind]))]
				folder := t.TempDir()
				if err := os.CopyFS(folder, os.DirFS(folders[of.folder])); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(folder, of.key)
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				theirs, err := os.ReadFile(filepath.Join(folders[other.folder], other.key))
				if err != nil {
					t.Fatal(err)
				}
				what := fmt.Sprintf("seed %d, mutation %d: %s of %s", seed, i, way.name, of.key)
				if text = way.mutate(r, text, theirs); text == nil {
					err = os.Remove(file)
				} else {
					err = os.WriteFile(file, text, 0o666)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := reportPage(t, folder); err != nil {
					t.Errorf("%s: the report: %v", what, err)
				}
				p, log := start(t, "file://"+folder)
				switch code := wait(t, p); code {
				case exitDone:
					same(t, what, result(t, "file://"+folder))
					count(kind, "same figures")
				case exitData, exitSettings:
					if code == exitSettings && kind != "index.json" && kind != "run.json" {
						t.Errorf("%s: exit %d\n%s", what, code, log)
					}
					if !strings.Contains(log.String(), path.Base(of.key)) {
						t.Errorf("%s: exit %d, and the log does not name it\n%s", what, code, log)
					}
					count(kind, fmt.Sprintf("exit %d", code))
				default:
					t.Errorf("%s: exit %d\n%s", what, code, log)
					count(kind, fmt.Sprintf("exit %d", code))
				}
			})
		}
	})
	t.Logf("%d mutations in %.0f s, seed %d", wanted, time.Since(begin).Seconds(), seed)
	t.Logf("%-40s %12s %8s %8s", "object", "same figures", "exit 65", "exit 64")
	for _, kind := range kinds {
		t.Logf("%-40s %12d %8d %8d", kind, table[kind]["same figures"], table[kind]["exit 65"], table[kind]["exit 64"])
	}
}
