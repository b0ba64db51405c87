package checkpoint

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cijepa/cijepa/storage"
)

// Run is one attempt's access to one training run: everything below runs/<name>/. Its methods are
// safe for concurrent use; commits happen one after the other.
type Run struct {
	bucket  *storage.Bucket
	root    string // "runs/<name>/"
	result  string // key of the last write: "runs/<name>/result.json"
	attempt string
	log     *slog.Logger

	mu           sync.Mutex // held through a Restore and a Commit; guards what follows
	chain        *chain     // nil before Restore
	foldersNamed int        // by commits so far
	overtaken    error      // ErrOvertaken, once it has happened
	garbage      []string   // folders to delete after the next commit, of failed commits and of dropped checkpoints

	appendMu sync.Mutex // guards appended
	appended map[string]int

	newestSequenceKnown atomic.Int64 // chain.sequence, readable while a commit holds mu
}

// OpenRun gives access to a run as one of its attempts. It reads and writes nothing. attempt names
// the process, such as its pod: a random ending is added, so that a container that is started again
// in the same pod is another attempt.
func OpenRun(b *storage.Bucket, name, attempt string, log *slog.Logger) *Run {
	root := "runs/" + name + "/"
	return open(b, root, root+"result.json", attempt, log)
}

// OpenProbe is OpenRun for a probe of a run's teacher. Everything below runs/<run>/probes/<name>/
// is the probe's as a run's folder is the run's, but for its result, which is
// runs/<run>/probes/<name>.json. Nothing of the run is written.
func OpenProbe(b *storage.Bucket, run, name, attempt string, log *slog.Logger) *Run {
	root := "runs/" + run + "/probes/" + name
	return open(b, root+"/", root+".json", attempt, log)
}

func open(b *storage.Bucket, root, result, attempt string, log *slog.Logger) *Run {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	nonce := make([]byte, 4)
	rand.Read(nonce) // never fails
	return &Run{
		bucket:   b,
		root:     root,
		result:   result,
		attempt:  strings.ReplaceAll(attempt, "/", "-") + "-" + hex.EncodeToString(nonce),
		log:      log,
		appended: make(map[string]int),
	}
}

// Key returns the whole key of one of the run's objects, for messages.
func (r *Run) Key(name string) string { return r.root + name }

// ResultKey returns the whole key of the run's result, for messages.
func (r *Run) ResultKey() string { return r.result }

// Record returns the record of the run, run.json, or [storage.ErrNotFound] if the run has not
// begun. A run that has manifests but no record is [storage.ErrCorrupt]: with a new record,
// checkpoints of one recipe would go on with another. First it checks that the attempt has every
// right that it will need: see [storage.Bucket.Check].
func (r *Run) Record(ctx context.Context) ([]byte, error) {
	if err := r.bucket.Check(ctx, r.root); err != nil {
		return nil, err
	}
	key := r.root + "run.json"
	record, missing := r.bucket.GetTwice(ctx, key)
	if !errors.Is(missing, storage.ErrNotFound) {
		return record, missing
	}
	newest, err := r.newestSequence(ctx)
	if err != nil {
		return nil, err
	}
	if newest == 0 {
		return nil, missing
	}
	// The record is a run's first write, so no kill leaves manifests without one. But another
	// attempt may have written it since the read above.
	if record, err = r.bucket.GetTwice(ctx, key); errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("reading %s: %w: it is gone, but there are %d manifests of checkpoints, whose settings it held; "+
			"put it back from a copy, or begin another run (CIJEPA_RUN)", key, storage.ErrCorrupt, newest)
	}
	return record, err
}

// Begin creates the record of the run, run.json, unless it exists, and returns the stored one. The
// caller compares them.
func (r *Run) Begin(ctx context.Context, record []byte) (stored []byte, err error) {
	key := r.root + "run.json"
	created, err := r.bucket.Create(ctx, key, record)
	if err != nil {
		return nil, err
	}
	if created {
		return record, nil
	}
	return r.bucket.GetTwice(ctx, key)
}

// Newest returns the number of the newest manifest that this attempt knows, from its Restore or its
// last Commit; 0 if it knows none. It does not wait for a commit under way.
func (r *Run) Newest() int64 { return r.newestSequenceKnown.Load() }

// Append stores one flush of a growing log as an object of its own, because an object store cannot
// append. Its key is metrics/<name>-<attempt>-<n>, with the ending of name moved to its end.
func (r *Run) Append(ctx context.Context, name string, data []byte) error {
	r.appendMu.Lock()
	r.appended[name]++
	n := r.appended[name]
	r.appendMu.Unlock()
	ending := path.Ext(name)
	key := fmt.Sprintf("%smetrics/%s-%s-%06d%s", r.root, strings.TrimSuffix(name, ending), r.attempt, n, ending)
	_, err := r.bucket.PutBytes(ctx, key, data)
	return err
}

// Put stores one of the run's results, such as teacher.safetensors. Every attempt that gets there
// before the run has finished replaces it; after that Put fails with [storage.ErrOvertaken].
func (r *Run) Put(ctx context.Context, name string, size int64, write func(io.Writer) error) (storage.Object, error) {
	// A missing result is asked for once: if it is there all the same, the Finish that follows
	// fails.
	switch _, err := r.bucket.Get(ctx, r.result); {
	case err == nil:
		return storage.Object{}, fmt.Errorf("writing %s%s: %w: the run has finished", r.root, name, storage.ErrOvertaken)
	case !errors.Is(err, storage.ErrNotFound):
		return storage.Object{}, err
	}
	return r.bucket.Put(ctx, r.root+name, size, write)
}

// Result returns the run's result, or [storage.ErrNotFound] if there is none yet.
func (r *Run) Result(ctx context.Context) ([]byte, error) {
	return r.bucket.GetTwice(ctx, r.result)
}

// Finish creates the result, the last write of a run. A run has one result: if another attempt has
// stored a different one, Finish fails with [storage.ErrOvertaken].
func (r *Run) Finish(ctx context.Context, result []byte) error {
	created, err := r.bucket.Create(ctx, r.result, result)
	if err == nil && !created {
		return fmt.Errorf("creating %s: %w", r.result, storage.ErrOvertaken)
	}
	return err
}

// Fallbacks returns the number of damaged checkpoints that this attempt's Restore skipped. Later
// attempts do not count them again, because the next manifest records them as damaged.
func (r *Run) Fallbacks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.chain == nil {
		return 0
	}
	return r.chain.fallbacks
}
