package machine

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "gocloud.dev/blob/fileblob"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestProgramsAreKeptTwice: on the machine and with the run, whose own come first.
func TestProgramsAreKeptTwice(t *testing.T) {
	bucket, err := storage.Open(t.Context(), "file://"+t.TempDir(), storage.Options{RetryTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	var log bytes.Buffer
	machine := func(run string) *ProgramStore {
		p := &ProgramStore{folder: filepath.Join(t.TempDir(), "programs"), log: slog.New(slog.NewTextHandler(&log, nil))}
		if run != "" {
			p.ctx, p.bucket, p.run = t.Context(), bucket, checkpoint.OpenRun(bucket, run, "test", nil)
		}
		return p
	}
	want := func(what string, got []byte, want string) {
		t.Helper()
		if string(got) != want || got == nil != (want == "") {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	key := strings.Repeat("a", 64)
	first, second, other, none := machine("run"), machine("run"), machine("other"), machine("")
	want("before", first.Get(key), "")
	first.Put(key, []byte("one"))
	want("its own", first.Get(key), "one")
	second.Put("b"+key[1:], []byte("more"))
	want("another machine", second.Get(key), "one")
	want("and its folder", (&ProgramStore{folder: second.folder, log: second.log}).Get(key), "one")
	want("another run", other.Get(key), "")
	other.Put(key, []byte("two"))
	other.run = second.run
	want("the run comes first", other.Get(key), "one")
	none.Put(key, []byte("three"))
	want("no run", none.Get(key), "three")
	third := machine("third")
	none.ctx, none.bucket, none.run = third.ctx, third.bucket, third.run
	want("now of a run", none.Get(key), "three")
	adopted := machine("third")
	want("which has it from then on", adopted.Get(key), "three")
	if log.Len() > 0 {
		t.Errorf("logged %s", &log)
	}
}

// TestFirstProgramOfARunStays, because later attempts must run what earlier ones ran. A program
// that cannot be read, or that another attempt has stored meanwhile, is not overwritten; one that
// the compiler could not use is. In each of these cases the attempt knows that it runs its own.
func TestFirstProgramOfARunStays(t *testing.T) {
	store := storagetest.NewStore(t)
	bucket := store.Open(storage.Options{RetryTimeout: 10 * time.Millisecond})
	attempt := func() *ProgramStore {
		return NewRunProgramStore(t.Context(), t.TempDir(), bucket, checkpoint.OpenRun(bucket, "r", "test", nil), storagetest.Log(t))
	}
	key := strings.Repeat("a", 64)
	first, beside, unlucky := attempt(), attempt(), attempt()
	if first.Get(key) != nil || beside.Get(key) != nil {
		t.Fatal("a program before the first")
	}
	first.Put(key, []byte("one"))
	beside.Put(key, []byte("two"))
	store.Plan(storagetest.Always(storagetest.Refused, storagetest.Read))
	if unlucky.Get(key) != nil {
		t.Error("read what cannot be read")
	}
	store.Plan(nil)
	unlucky.Put(key, []byte("three"))
	if first.UsesLocalPrograms() || !beside.UsesLocalPrograms() || !unlucky.UsesLocalPrograms() {
		t.Errorf("programs of their own: %v, %v, %v", first.UsesLocalPrograms(), beside.UsesLocalPrograms(), unlucky.UsesLocalPrograms())
	}
	next := attempt()
	if got := string(next.Get(key)); got != "one" {
		t.Errorf("the run has %q", got)
	}
	next.Put(key, []byte("mended"))
	after := attempt()
	if got := string(after.Get(key)); got != "mended" || !next.UsesLocalPrograms() || after.UsesLocalPrograms() {
		t.Errorf("after a damaged one the run has %q, of its own: %v, then %v", got, next.UsesLocalPrograms(), after.UsesLocalPrograms())
	}
	unwritten, other := attempt(), strings.Repeat("b", 64)
	unwritten.Get(other)
	store.Plan(storagetest.Always(storagetest.Refused, storagetest.Write))
	unwritten.Put(other, []byte("one"))
	if !unwritten.UsesLocalPrograms() {
		t.Error("what only this attempt has counts as the run's")
	}
}

// TestProgramsNeverFail: what cannot be read or written is a line of the log.
func TestProgramsNeverFail(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &ProgramStore{folder: filepath.Join(file, "below"), log: slog.New(slog.NewTextHandler(&log, nil))}
	key := strings.Repeat("a", 64)
	p.Put(key, []byte("one"))
	if got := p.Get(key); got != nil || !strings.Contains(log.String(), "keeping a compiled program") {
		t.Errorf("read %q, logged %s", got, &log)
	}
}

// TestProgramsFolderStaysSmall: the newest stay, and what a kill left half written goes with the
// oldest.
func TestProgramsFolderStaysSmall(t *testing.T) {
	p := &ProgramStore{folder: t.TempDir(), log: storagetest.Log(t)}
	torn := filepath.Join(p.folder, ".aaaaaaaa-1")
	if err := os.WriteFile(torn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(torn, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	key := func(i int) string { return fmt.Sprintf("%064d", i) }
	for i := range keptPrograms + 3 {
		p.Put(key(i), []byte("program"))
		at := time.Now().Add(time.Duration(i-1000) * time.Second)
		if err := os.Chtimes(filepath.Join(p.folder, key(i)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(p.folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != keptPrograms || p.Get(key(0)) != nil || p.Get(key(keptPrograms+2)) == nil {
		t.Errorf("%d files", len(files))
	}
	if _, err := os.Stat(torn); err == nil {
		t.Error("what was torn is still there")
	}
}

// TestChangedProgramsAreNotRun: a program with a flipped bit, under another key or without a
// checksum is none, on the machine and with the run, whose own is replaced.
func TestChangedProgramsAreNotRun(t *testing.T) {
	dir := t.TempDir()
	bucket := storagetest.Open(t, "file://"+dir, storage.Options{})
	key := strings.Repeat("a", 64)
	whole := sealProgram(key, []byte("program"))
	flipped := append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1)
	for what, text := range map[string][]byte{"flipped": flipped, "of another key": sealProgram("b"+key[1:], []byte("program")), "bare": []byte("program"), "cut": whole[:20]} {
		attempt := func() *ProgramStore {
			return NewRunProgramStore(t.Context(), t.TempDir(), bucket, checkpoint.OpenRun(bucket, "r", "test", nil), storagetest.Log(t))
		}
		p, of := attempt(), attempt()
		storagetest.PutAll(t, bucket, map[string]string{"runs/r/programs/" + key: string(text)})
		if err := os.WriteFile(filepath.Join(p.folder, key), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := p.Get(key); got != nil {
			t.Errorf("%s: %q", what, got)
		}
		p.Put(key, []byte("compiled again"))
		if got := string(of.Get(key)); got != "compiled again" || !p.UsesLocalPrograms() || of.UsesLocalPrograms() {
			t.Errorf("%s: the run has %q", what, got)
		}
	}
}
