package machine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
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

	mu    sync.Mutex         // guards what follows
	found map[string]finding // in the bucket, by key
	local bool               // see UsesLocalPrograms
}

// finding is what Get found in the bucket.
type finding int

const (
	absent finding = iota
	present
	unreadable // it may be there
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

// ProgramFolder is the folder of this machine where the programs of all runs lie.
func ProgramFolder(c settings.Config) string { return filepath.Join(c.CacheDir, "programs") }

// UsesLocalPrograms says whether this attempt runs a program that may not be the one that other
// attempts of the run have run. Then it may not be exact to the bit.
func (p *ProgramStore) UsesLocalPrograms() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.local
}

// Get returns a program from the run, else from the folder, else nil. It copies what it finds to
// the other place.
func (p *ProgramStore) Get(key string) []byte {
	here, err := os.ReadFile(filepath.Join(p.folder, key))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("reading a compiled program", "error", err)
	}
	if p.bucket == nil {
		return here
	}
	ctx, cancel := context.WithTimeout(p.ctx, transferTimeout)
	defer cancel()
	stored, err := p.bucket.Get(ctx, p.run.Key(programs+key))
	switch {
	case err == nil:
		p.note(key, present)
		if here == nil {
			p.keep(key, stored)
		}
		return stored
	case !errors.Is(err, storage.ErrNotFound):
		p.note(key, unreadable)
		p.log.Warn("reading the run's compiled program", "error", err)
	}
	if here != nil {
		p.share(key, here)
	}
	return here
}

// Put keeps a program in both places. Where Get has found one in the run, the compiler could not
// use it, and this one replaces it.
func (p *ProgramStore) Put(key string, program []byte) {
	p.keep(key, program)
	if p.bucket != nil {
		p.share(key, program)
	}
}

// note remembers what Get found in the bucket.
func (p *ProgramStore) note(key string, f finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		p.found = map[string]finding{}
	}
	p.found[key] = f
}

// share gives a program to the run. The first one that a run has stays, so that later attempts run
// what earlier ones ran; one that Get could not read is not overwritten either.
func (p *ProgramStore) share(key string, program []byte) {
	ctx, cancel := context.WithTimeout(p.ctx, transferTimeout)
	defer cancel()
	p.mu.Lock()
	found := p.found[key]
	p.mu.Unlock()
	created, err := false, error(nil)
	switch found {
	case absent:
		created, err = p.bucket.Create(ctx, p.run.Key(programs+key), program)
	case present:
		_, err = p.run.Put(ctx, programs+key, int64(len(program)), func(w io.Writer) error {
			_, err := w.Write(program)
			return err
		})
	}
	if err != nil {
		p.log.Warn("storing a compiled program with the run", "error", err)
	}
	if !created { // the run has none or another one, or earlier attempts ran the one that was replaced
		p.mu.Lock()
		p.local = true
		p.mu.Unlock()
	}
}

// keep writes a program to the folder, whole or not at all, and removes the oldest ones.
func (p *ProgramStore) keep(key string, program []byte) {
	err := os.MkdirAll(p.folder, 0o755)
	if err == nil {
		err = renameio.WriteFile(filepath.Join(p.folder, key), program, 0o600, renameio.WithTempDir(p.folder))
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
