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

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// ProgramStore keeps what XLA has compiled: in a folder beside the shard cache, so that an attempt on this machine begins sooner,
// and beside the run's checkpoints, so that an attempt on another machine runs the very same kernels and goes on to the
// bit. What the run keeps comes first: two machines that compile the same program may choose other kernels for it. It is
// a help only: what fails is logged, and the program is compiled.
type ProgramStore struct {
	folder string
	run    *runStore // nil: no run
	log    *slog.Logger

	mu      sync.Mutex         // guards what follows
	found   map[string]finding // in the run, by key
	strayed bool               // this attempt runs a program that may not be the run's
}

// finding is what Get has found in the run.
type finding int

const (
	absent finding = iota
	there
	unread // it could not be read: it may be there
)

// runStore are those of a run.
type runStore struct {
	ctx    context.Context // of the attempt
	bucket *storage.Bucket
	run    *checkpoint.Run
}

const (
	programPatience = time.Minute // for one transfer: after that, compiling is as good
	keptPrograms    = 64          // files of the folder; a run has about ten
)

// NewProgramStore keeps programs in a folder of this machine.
func NewProgramStore(folder string, log *slog.Logger) *ProgramStore {
	return &ProgramStore{folder: folder, log: log}
}

// NewRunProgramStore keeps programs in a folder of this machine and beside the checkpoints of a run. ctx is the attempt's.
func NewRunProgramStore(ctx context.Context, folder string, bucket *storage.Bucket, run *checkpoint.Run, log *slog.Logger) *ProgramStore {
	p := NewProgramStore(folder, log)
	p.run = &runStore{ctx, bucket, run}
	return p
}

// ProgramFolder is where the programs of all runs on this machine lie.
func ProgramFolder(c settings.Config) string { return filepath.Join(c.CacheDir, "programs") }

// Get looks in the run, then in the folder. What the folder has becomes the run's.
func (p *ProgramStore) Get(key string) []byte {
	here, err := os.ReadFile(filepath.Join(p.folder, key))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("reading a compiled program", "error", err)
	}
	if p.run == nil {
		return here
	}
	stored, err := p.run.get(key)
	switch {
	case err == nil:
		p.find(key, there)
		if here == nil {
			p.keep(key, stored)
		}
		return stored
	case !errors.Is(err, storage.ErrNotFound):
		p.find(key, unread)
		p.log.Warn("reading the run's compiled program", "error", err)
	}
	if here != nil {
		p.share(key, here)
	}
	return here
}

func (p *ProgramStore) find(key string, f finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		p.found = map[string]finding{}
	}
	p.found[key] = f
}

// Put keeps a program in both places. Where the run has one that could be read, it is of no use.
func (p *ProgramStore) Put(key string, program []byte) {
	p.keep(key, program)
	if p.run != nil {
		p.share(key, program)
	}
}

// share gives a program to the run, which keeps the first one: later attempts are to run what earlier ones ran.
func (p *ProgramStore) share(key string, program []byte) {
	p.mu.Lock()
	found := p.found[key]
	p.mu.Unlock()
	stored, err := false, error(nil)
	switch found {
	case absent:
		stored, err = p.run.create(key, program)
	case there:
		stored, err = true, p.run.replace(key, program)
	}
	if err != nil {
		p.log.Warn("storing a compiled program with the run", "error", err)
	}
	if !stored || found == there { // nobody has it, somebody else may have another, or earlier attempts ran what it replaces
		p.mu.Lock()
		p.strayed = true
		p.mu.Unlock()
	}
}

// UsesLocalPrograms says whether this attempt runs a program that may not be the run's.
func (p *ProgramStore) UsesLocalPrograms() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.strayed
}

// keep writes a program to the folder, whole or not at all, and lets the oldest ones go.
func (p *ProgramStore) keep(key string, program []byte) {
	if err := p.write(key, program); err != nil {
		p.log.Warn("keeping a compiled program", "error", err)
	}
}

func (p *ProgramStore) write(key string, program []byte) error {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(p.folder, "."+key[:8]+"-*")
	if err != nil {
		return err
	}
	_, err = file.Write(program)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(p.folder, key))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return p.sweep()
}

// sweep removes the oldest files beyond the number that is kept, and with them what a kill left half written.
func (p *ProgramStore) sweep() error {
	entries, err := os.ReadDir(p.folder)
	if err != nil || len(entries) <= keptPrograms {
		return err
	}
	age := func(e fs.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{} // gone already
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return age(b).Compare(age(a)) })
	var errs []error
	for _, e := range entries[keptPrograms:] {
		if err := os.Remove(filepath.Join(p.folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func programName(key string) string { return "programs/" + key }

func (r *runStore) get(key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(r.ctx, programPatience)
	defer cancel()
	return r.bucket.Get(ctx, r.run.Key(programName(key)))
}

// create says whether the program is the run's now: not when another attempt was first with another one.
func (r *runStore) create(key string, program []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(r.ctx, programPatience)
	defer cancel()
	return r.bucket.Create(ctx, r.run.Key(programName(key)), program)
}

func (r *runStore) replace(key string, program []byte) error {
	ctx, cancel := context.WithTimeout(r.ctx, programPatience)
	defer cancel()
	_, err := r.run.Put(ctx, programName(key), int64(len(program)), func(w io.Writer) error {
		_, err := w.Write(program)
		return err
	})
	return err
}
