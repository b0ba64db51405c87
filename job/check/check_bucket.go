package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// lookAtBucket opens the bucket of runs and tries every right that a run needs below its prefix.
func (c *check) lookAtBucket(ctx context.Context) {
	bucket, err := storage.Open(ctx, c.cfg.Bucket, c.store())
	if errors.Is(err, storage.ErrNoFolder) && c.cfg.DataBucket != c.cfg.Bucket {
		c.warn("bucket", "%v; a run would make it", err)
		return
	}
	if err != nil {
		c.fault(ctx, "bucket", machine.BucketError(ctx, "Bucket", err))
		return
	}
	c.tidy = bucket.FolderCleanup(c.folder())
	prefix := c.scratch()
	err = bucket.Check(ctx, prefix)
	left := c.sweep(ctx, bucket, prefix)
	if err != nil {
		c.fault(ctx, "bucket", fmt.Errorf("%s: %w", settings.Variable("Bucket"), err))
		if cerr := bucket.Close(); cerr != nil {
			c.log.Warn("closing the bucket", "error", cerr)
		}
		return
	}
	c.bucket = bucket
	if left != nil {
		c.warn("bucket", "objects below %s can be written, read and listed but not deleted: old checkpoints will stay and cost money (%v)", c.folder(), left)
		return
	}
	c.ok("bucket", "objects below %s can be written, read, listed, deleted and created only if absent", c.folder())
}

// store says how the buckets of a check behave: it looks at what is there, and makes nothing.
func (c *check) store() storage.Options {
	return storage.Options{Log: c.log, RetryTimeout: min(c.cfg.RetryTimeout, checkPatience), MustExist: true}
}

// folder is the run's, in the bucket.
func (c *check) folder() string { return "runs/" + c.cfg.Run + "/" }

// scratch is what the names of all objects of one examination begin with, and no other object's.
func (c *check) scratch() string {
	return c.folder() + ".check-" + strings.ToLower(rand.Text()[:12])
}

// sweep deletes what begins with a scratch prefix, also when the check is being stopped.
func (c *check) sweep(ctx context.Context, bucket *storage.Bucket, prefix string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	keys, err := bucket.List(ctx, prefix)
	for _, key := range keys {
		err = errors.Join(err, bucket.Delete(ctx, key))
	}
	return err
}

// lookAtRun finds out where the run stands, and whether it was begun with the same recipe on the same data.
func (c *check) lookAtRun(ctx context.Context) {
	if c.bucket == nil {
		return
	}
	run := checkpoint.OpenRun(c.bucket, c.cfg.Run, machine.HostName(), c.log)
	done, err := run.Result(ctx)
	if err == nil {
		_, err = settings.ReadResult(c.cfg.Recipe, done, c.folder()+"result.json")
	}
	if err == nil {
		c.done = true
		c.ok("run", "%s is done already: %sresult.json is there, and starting the run again does nothing", c.cfg.Run, c.folder())
		return
	}
	if !errors.Is(err, storage.ErrNotFound) {
		c.fault(ctx, "run", err)
		return
	}
	key := c.folder() + "run.json"
	text, err := run.Record(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		c.ok("run", "%s is new", c.cfg.Run)
		return
	}
	if err == nil {
		err = c.compare(text, key)
	}
	if err != nil {
		c.fault(ctx, "run", err)
		return
	}
	// Nothing is loaded: the newest manifest says where the run stands.
	if c.at, err = run.Restore(ctx, func(checkpoint.Checkpoint) error { return nil }); err != nil {
		c.fault(ctx, "run", err)
		return
	}
	if c.at.Sequence == 0 {
		c.ok("run", "%s has begun with the same settings but has no checkpoint: it starts at its first update", c.cfg.Run)
		return
	}
	c.ok("run", "%s goes on from checkpoint %d: phase %s, update %d", c.cfg.Run, c.at.Sequence, c.at.Phase, c.at.Step)
}

// compare holds run.json against the settings.
func (c *check) compare(text []byte, key string) error {
	theirs, err := settings.ReadRunRecord(text, key)
	if err != nil {
		return err
	}
	c.theirs = &theirs.Recipe
	mine := settings.RunRecord{Recipe: c.cfg.Recipe, Fingerprint: theirs.Fingerprint}
	if c.data != nil {
		mine.Fingerprint = c.data.Fingerprint()
	}
	return settings.Conflicts(mine, theirs, key)
}

// uploadSample is one part of a large upload: less would measure the time to answer, not the rate.
const uploadSample = 8 << 20

// timeUpload uploads one object as large as a small checkpoint, or as one part of a large one.
func (c *check) timeUpload(ctx context.Context) {
	if c.bucket == nil {
		return
	}
	data := make([]byte, min(c.cfg.Model().StateBytes(), uploadSample))
	rand.Read(data) // never fails; nothing on the way can compress it
	prefix := c.scratch()
	begin := time.Now()
	_, err := c.bucket.Put(ctx, prefix, int64(len(data)), func(w io.Writer) error {
		_, err := bytes.NewReader(data).WriteTo(w)
		return err
	})
	took := time.Since(begin).Seconds()
	if left := c.sweep(ctx, c.bucket, prefix); left != nil {
		c.warn("upload", "the object that measured the upload could not be deleted: %v", left)
	}
	if err != nil {
		c.fault(ctx, "upload", fmt.Errorf("%s: %w", settings.Variable("Bucket"), err))
		return
	}
	c.rate = float64(len(data)) / max(took, 1e-6)
	c.ok("upload", "%s in %s: %s/s in one stream (measured; a checkpoint goes up in several)", settings.FormatBytes(float64(len(data))), settings.FormatSeconds(took), settings.FormatBytes(c.rate))
}
