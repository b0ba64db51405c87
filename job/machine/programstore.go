package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// ProgramStore keeps the programs that XLA has compiled. One copy lies in a folder of this machine,
// so that the next attempt here begins sooner. Another lies beside the run's checkpoints, so that
// an attempt on another machine runs the same kernels and is exact to the bit. The run's copy comes
// first, because two machines that compile the same program may choose different kernels.
//
// A failure to read or write is only logged: the program is compiled then.
type ProgramStore struct {
	folder string
	log    *slog.Logger

	ctx    context.Context // of the attempt: model's interface hands none in
	bucket *storage.Bucket // nil: programs of no run
	run    *checkpoint.Run

	found sync.Map    // of Get in the bucket: a finding by key
	own   atomic.Bool // see UsesLocalPrograms
}

// finding is what Get found in the bucket; none where there was nothing.
type finding int

const (
	present    finding = iota
	unreadable         // it may be there
)

const (
	transferTimeout = time.Minute // of one program; compiling takes about as long
	keptPrograms    = 64          // files in the folder; a run has about ten
)

// programs is the folder of the programs below the run's.
const programs = "programs/"

// NewProgramStore keeps programs in a folder of this machine alone.
func NewProgramStore(folder string, log *slog.Logger) *ProgramStore {
	return &ProgramStore{folder: folder, log: log}
}

// NewRunProgramStore keeps programs in a folder of this machine and beside the checkpoints of a
// run. Transfers end with ctx, which is the attempt's.
func NewRunProgramStore(ctx context.Context, folder string, bucket *storage.Bucket, run *checkpoint.Run,
	log *slog.Logger,
) *ProgramStore {
	return &ProgramStore{folder: folder, log: log, ctx: ctx, bucket: bucket, run: run}
}

// ProgramFolder is the folder of this machine where the programs of all runs lie: in that of the
// cache, where no other user can write. Without such a folder it is empty, and programs lie with
// the run alone.
func ProgramFolder(c settings.Config, log *slog.Logger) string {
	folder, err := CacheFolder(c)
	if err != nil {
		log.Warn("compiled programs are not kept on this machine", "folder", c.CacheDir, "error", err)
		return ""
	}
	return filepath.Join(folder, "programs")
}

// programHead begins a stored program. The checksum of key and program follows, and a newline.
const programHead = "cijepa program "

// sealProgram returns a program as it is stored. XLA would load and run whatever bytes it is given.
func sealProgram(key string, program []byte) []byte {
	return append([]byte(programHead+programSum(key, program)+"\n"), program...)
}

// unsealProgram returns the program that sealProgram has stored under the key.
func unsealProgram(key string, stored []byte) ([]byte, error) {
	head, program, ok := bytes.Cut(stored, []byte("\n"))
	if !ok || string(head) != programHead+programSum(key, program) {
		return nil, errors.New("its checksum does not fit")
	}
	return program, nil
}

func programSum(key string, program []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", key)
	h.Write(program)
	return hex.EncodeToString(h.Sum(nil))
}

// UsesLocalPrograms says whether this attempt runs a program that may not be the one that other
// attempts of the run have run. Then it may not be exact to the bit.
func (p *ProgramStore) UsesLocalPrograms() bool { return p.own.Load() }

// Get returns a program from the run, else from the folder, else nil. It copies what it finds to
// the other place.
func (p *ProgramStore) Get(key string) []byte {
	here := p.local(key)
	if p.bucket == nil {
		return here
	}
	ctx, cancel := context.WithTimeout(p.ctx, transferTimeout)
	defer cancel()
	stored, err := p.stored(ctx, key)
	switch {
	case err == nil:
		p.found.Store(key, present)
		if here == nil {
			p.keep(key, stored)
		}
		return stored
	case errors.Is(err, storage.ErrCorrupt):
		p.found.Store(key, present)
		p.log.Warn("the run's compiled program is damaged and is replaced", "error", err)
	case !errors.Is(err, storage.ErrNotFound):
		p.found.Store(key, unreadable)
		p.log.Warn("reading the run's compiled program", "error", err)
	}
	if here != nil {
		p.share(key, here)
	}
	return here
}

// stored reads a program of the run. Bits flip in transfer: a damaged one is read twice.
func (p *ProgramStore) stored(ctx context.Context, key string) (program []byte, err error) {
	for range 2 {
		text, gerr := p.bucket.Get(ctx, p.run.Key(programs+key))
		if gerr != nil {
			return nil, gerr
		}
		if program, err = unsealProgram(key, text); err == nil {
			return program, nil
		}
	}
	return nil, fmt.Errorf("%s: %w: %w", p.run.Key(programs+key), storage.ErrCorrupt, err)
}

// local reads a program of the folder; nil if it has none that is whole.
func (p *ProgramStore) local(key string) []byte {
	if p.folder == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(p.folder, key))
	var program []byte
	if err == nil {
		program, err = unsealProgram(key, text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("reading a compiled program", "key", key, "error", err)
	}
	return program
}

// Put keeps a program in both places. Where Get has found one in the run, the compiler could not
// use it, and this one replaces it.
func (p *ProgramStore) Put(key string, program []byte) {
	p.keep(key, program)
	if p.bucket != nil {
		p.share(key, program)
	}
}

// share gives a program to the run. The first one that a run has stays, so that later attempts run
// what earlier ones ran; one that Get could not read is not overwritten either.
func (p *ProgramStore) share(key string, program []byte) {
	ctx, cancel := context.WithTimeout(p.ctx, transferTimeout)
	defer cancel()
	created, err, sealed := false, error(nil), sealProgram(key, program)
	switch found, _ := p.found.Load(key); found {
	case nil: // Get found none
		created, err = p.bucket.Create(ctx, p.run.Key(programs+key), sealed)
	case present:
		_, err = p.run.Put(ctx, programs+key, int64(len(sealed)), func(w io.Writer) error {
			_, err := w.Write(sealed)
			return err
		})
	}
	if err != nil {
		p.log.Warn("storing a compiled program with the run", "error", err)
	}
	if !created { // the run has none or another one, or earlier attempts ran the one that was replaced
		p.own.Store(true)
	}
}

// keep writes a program to the folder, whole or not at all, and removes the oldest ones.
func (p *ProgramStore) keep(key string, program []byte) {
	if p.folder == "" {
		return
	}
	err := os.MkdirAll(p.folder, 0o700)
	if err == nil {
		err = renameio.WriteFile(filepath.Join(p.folder, key), sealProgram(key, program), 0o600, renameio.WithTempDir(p.folder))
	}
	if err == nil {
		err = p.sweep()
	}
	if err != nil {
		p.log.Warn("keeping a compiled program", "error", err)
	}
}

// sweep removes the oldest files beyond keptPrograms, and so in time the temporary files of a
// process that was killed.
func (p *ProgramStore) sweep() error {
	entries, err := os.ReadDir(p.folder)
	if err != nil || len(entries) <= keptPrograms {
		return err
	}
	modified := func(e fs.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{} // another process has removed it
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return modified(b).Compare(modified(a)) })
	var errs []error
	for _, e := range entries[keptPrograms:] {
		if err := os.Remove(filepath.Join(p.folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
