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
	// keepNewest is the number of newest checkpoints that stay, including the one being committed.
	keepNewest = 3
	// orphanAge is how long the objects of another attempt's unfinished commit stay. After a newer
	// commit no manifest can name them any more; a day leaves people the time to look at them.
	orphanAge = 24 * time.Hour
)

// retain splits the older checkpoints, given oldest first, into those that the next manifest names
// and the folders of the dropped ones.
func retain(older []retained) (kept []retained, dropped []string) {
	for i, x := range older {
		if x.Keep || i > len(older)-keepNewest {
			kept = append(kept, x)
		} else {
			dropped = append(dropped, x.Folder)
		}
	}
	return kept, dropped
}

// collectGarbage deletes the objects that the manifest just committed no longer names. own is the
// folder of that manifest. A crash in here leaves objects that no manifest names, never a manifest
// whose objects are missing. A failure does not fail the commit.
//
// This process may have been paused for long between its commit and the deletions. They are still
// safe: each manifest retains a subset of what the one before retained, plus its own checkpoint. So
// no manifest that others have committed since can retain anything that this one dropped.
func (r *Run) collectGarbage(ctx context.Context, own string) {
	entries, err := r.bucket.ListEntries(ctx, r.root+"state/")
	if err != nil {
		r.log.Warn("retention could not list the checkpoints", "error", err)
		return
	}
	committed := lastModified(entriesBelow(entries, r.root+own)) // by the store's clock, as the times of the orphans are
	r.removeTemporary(ctx, committed)
	folders := make(map[string][]storage.Entry)
	for _, e := range entries {
		if name, _, ok := strings.Cut(strings.TrimPrefix(e.Key, r.root+"state/"), "/"); ok {
			folder := "state/" + name
			folders[folder] = append(folders[folder], e)
		}
	}
	live := make(map[string]bool)
	nameless := false // a damaged manifest hides which folder it names: that folder looks like an orphan, and is evidence
	for _, x := range slices.Concat(r.chain.retained, r.chain.damaged) {
		live[x.Folder] = true
		nameless = nameless || x.Folder == ""
	}
	for folder, objects := range folders {
		orphan := !nameless && !committed.IsZero() && committed.Sub(lastModified(objects)) >= orphanAge
		if live[folder] || !orphan && !slices.Contains(r.garbage, folder) {
			continue
		}
		if !r.deleteFolder(ctx, folder, objects) {
			return
		}
	}
}

// removeTemporary deletes the files that killed writers have left beside the run's records in a
// file:// bucket, once they are a day older than the newest commit. Those below state/ go with
// their folders.
func (r *Run) removeTemporary(ctx context.Context, committed time.Time) {
	if _, ok := r.bucket.LocalPath(r.root); !ok || committed.IsZero() {
		return
	}
	for _, folder := range []string{"manifest/", "metrics/", "programs/"} {
		entries, err := r.bucket.ListEntries(ctx, r.root+folder)
		if err != nil {
			r.log.Warn("retention could not list a folder", "folder", r.root+folder, "error", err)
			return
		}
		for _, e := range entries {
			if !e.Temporary || committed.Sub(e.Modified) < orphanAge {
				continue
			}
			if err := r.bucket.Delete(ctx, e.Key); err != nil {
				r.log.Warn("retention could not delete a temporary file", "key", e.Key, "error", err)
			}
		}
	}
}

// entriesBelow returns the entries of a folder.
func entriesBelow(entries []storage.Entry, folder string) (below []storage.Entry) {
	for _, e := range entries {
		if strings.HasPrefix(e.Key, folder+"/") {
			below = append(below, e)
		}
	}
	return below
}

func lastModified(entries []storage.Entry) (newest time.Time) {
	for _, e := range entries {
		if e.Modified.After(newest) {
			newest = e.Modified
		}
	}
	return newest
}

// deleteFolder deletes the objects of a folder and reports whether it could.
func (r *Run) deleteFolder(ctx context.Context, folder string, objects []storage.Entry) bool {
	for _, o := range objects {
		if err := r.bucket.Delete(ctx, o.Key); err != nil {
			r.log.Warn("retention could not delete an object; it is tried again after the next commit",
				"key", o.Key, "error", err)
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
