package checkpoint

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/storage"
)

const (
	// newestKept is the number of newest checkpoints that stay, the one being committed included.
	newestKept = 3
	// orphanAge is how long the objects of another attempt's unfinished commit stay. No commit could name them any more as soon as a newer one
	// is there; a day leaves a human the time to look.
	orphanAge = 24 * time.Hour
)

// retain splits the older checkpoints, given oldest first, into those that the next manifest still names and the folders of the others.
func retain(older []retained) (kept []retained, dropped []string) {
	for i, x := range older {
		if x.Keep || i > len(older)-newestKept {
			kept = append(kept, x)
		} else {
			dropped = append(dropped, x.Folder)
		}
	}
	return kept, dropped
}

// sweep deletes what the manifest just committed has let go: the record comes first, so a crash in here leaves objects that no manifest names,
// never a manifest that retains what is gone. Since each manifest retains a subset of what the one before did, plus itself, nothing that this
// attempt may delete can be retained by a manifest that others have committed since, however long this process was paused before the
// deletion. A failure here does not fail the commit.
func (r *Run) sweep(ctx context.Context, own string) {
	entries, err := r.bucket.ListEntries(ctx, r.root+"state/")
	if err != nil {
		r.log.Warn("retention could not list the checkpoints", "error", err)
		return
	}
	folders := make(map[string][]storage.Entry)
	for _, e := range entries {
		if name, _, ok := strings.Cut(strings.TrimPrefix(e.Key, r.root+"state/"), "/"); ok {
			folder := "state/" + name
			folders[folder] = append(folders[folder], e)
		}
	}
	live := make(map[string]bool)
	nameless := false // evidence that looks like an orphan: the manifest that names its folder cannot be read
	for _, x := range slices.Concat(r.chain.retained, r.chain.damaged) {
		live[x.Folder] = true
		nameless = nameless || x.Folder == ""
	}
	committed := newestOf(folders[own]) // by the store's clock, as all the others
	for folder, objects := range folders {
		orphan := !nameless && !committed.IsZero() && committed.Sub(newestOf(objects)) >= orphanAge
		if live[folder] || !orphan && !slices.Contains(r.garbage, folder) {
			continue
		}
		if !r.remove(ctx, folder, objects) {
			return
		}
	}
}

func newestOf(entries []storage.Entry) (newest time.Time) {
	for _, e := range entries {
		if e.Modified.After(newest) {
			newest = e.Modified
		}
	}
	return newest
}

// remove deletes the objects of a folder.
func (r *Run) remove(ctx context.Context, folder string, objects []storage.Entry) bool {
	for _, o := range objects {
		if err := r.bucket.Delete(ctx, o.Key); err != nil {
			r.log.Warn("retention could not delete an object; it is tried again after the next commit", "key", o.Key, "error", err)
			return false
		}
	}
	if dir, ok := r.bucket.LocalPath(r.root + folder); ok {
		os.Remove(dir) // only if empty
	}
	r.garbage = slices.DeleteFunc(r.garbage, func(x string) bool { return x == folder })
	r.log.Info("removed a checkpoint that is no longer kept", "folder", r.root+folder, "objects", len(objects))
	return true
}
