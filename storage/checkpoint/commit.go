package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/storage"
)

// parallelParts is the number of parts of a checkpoint that are uploaded at once. Two stay below
// 256 MiB of upload buffers.
const parallelParts = 2

// Commit stores a checkpoint: the parts, in parallel, in a folder of their own, and then the
// manifest that makes the checkpoint exist. keep exempts it from retention for ever. Restore must
// have been called before.
//
// After Commit has returned nil the checkpoint survives the death of this process. (In a file://
// bucket a power cut can tear parts of the last half minute; their checksums show it.) After an
// error it does not exist, with one exception: an unreachable store may have stored the manifest
// after all, which the next Commit or Restore finds out. [storage.ErrOvertaken] says that another
// attempt has committed since this one's Restore: this attempt must stop.
func (r *Run) Commit(ctx context.Context, phase string, step int64, keep bool, parts []Part) (Position, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.chain == nil {
		return Position{}, errors.New("Commit before Restore: the attempt does not know which checkpoint comes before")
	}
	if r.overtaken != nil {
		return Position{}, r.overtaken
	}
	r.foldersNamed++
	folder := fmt.Sprintf("state/%s-%012d-%s.%d", phase, step, r.attempt, r.foldersNamed)
	objects, err := r.upload(ctx, folder, parts)
	if err != nil {
		r.discardFailed(ctx, folder)
		return Position{}, err
	}
	dropped, err := r.writeManifest(ctx, &manifest{
		Version: manifestVersion, Phase: phase, Step: step, Attempt: r.attempt,
		Folder: folder, Keep: keep, Objects: objects,
	})
	if err != nil {
		r.garbage = append(r.garbage, folder)
		return Position{}, err
	}
	r.newestSequenceKnown.Store(r.chain.sequence)
	r.garbage = append(r.garbage, dropped...)
	r.collectGarbage(ctx, folder)
	return Position{Phase: phase, Step: step, Sequence: r.chain.sequence}, nil
}

// discardFailed deletes the parts of a commit that failed before its manifest, because they may
// fill the disk that the next commit needs. It takes at most discardTimeout. Parts that it cannot
// delete, or that appear later because a failed upload stored them after all, are deleted after the
// next commit.
func (r *Run) discardFailed(ctx context.Context, folder string) {
	r.garbage = append(r.garbage, folder)
	ctx, cancel := context.WithTimeout(ctx, discardTimeout)
	defer cancel()
	if entries, err := r.bucket.ListEntries(ctx, r.root+folder+"/"); err == nil {
		r.deleteFolder(ctx, folder, entries)
	}
}

const discardTimeout = 5 * time.Second

// upload stores the parts. The first failure cancels the others.
func (r *Run) upload(ctx context.Context, folder string, parts []Part) ([]storage.Object, error) {
	objects := make([]storage.Object, len(parts))
	seen := make(map[string]bool)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelParts)
	for i, part := range parts {
		if seen[part.Name] {
			return nil, errors.Join(fmt.Errorf("the checkpoint has two parts named %s", part.Name), g.Wait())
		}
		seen[part.Name] = true
		g.Go(func() error {
			o, err := r.bucket.Put(ctx, r.root+folder+"/"+part.Name, part.Size, part.Write)
			o.Key = part.Name
			objects[i] = o
			return err
		})
	}
	return objects, g.Wait()
}

// writeManifest fills in the manifest's place in the chain, after the newest one known, and creates
// it. It returns the folders that the manifest no longer retains.
func (r *Run) writeManifest(ctx context.Context, m *manifest) (dropped []string, err error) {
	for {
		c := r.chain
		m.Sequence, m.Previous, m.Damaged = c.sequence+1, c.checksum, c.damaged
		m.Retained, dropped = retain(c.retained)
		data, err := m.encode()
		if err != nil {
			return nil, err
		}
		created, err := r.bucket.Create(ctx, r.manifestKey(m.Sequence), data)
		if err != nil {
			return nil, err
		}
		if created {
			c.extend(m, sha256Hex(data))
			return dropped, nil
		}
		// The number is taken: by an earlier commit of this attempt whose answer was lost, or by
		// another attempt.
		there, sum, err := r.readManifest(ctx, m.Sequence)
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return nil, err
		}
		if err == nil && there.Folder == m.Folder { // this very commit
			c.extend(there, sum)
			return dropped, nil
		}
		if err != nil || there.Attempt != r.attempt {
			by := "unknown"
			if err == nil {
				by = there.Attempt
			}
			r.overtaken = fmt.Errorf("committing %s: %w: taken by attempt %s",
				r.manifestKey(m.Sequence), storage.ErrOvertaken, by)
			return nil, r.overtaken
		}
		r.log.Warn("an earlier commit was stored after all", "sequence", there.Sequence, "step", there.Step)
		c.extend(there, sum)
		r.garbage = slices.DeleteFunc(r.garbage, func(folder string) bool { return folder == there.Folder })
	}
}
