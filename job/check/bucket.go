package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// checkBucket opens the bucket of runs and tries every right that a run needs below its prefix.
func (c *check) checkBucket(ctx context.Context) {
	bucket, err := storage.Open(ctx, c.cfg.Bucket, c.storageOptions())
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
		c.warn("bucket", "objects below %s can be written, read and listed but not deleted: "+
			"old checkpoints will stay and cost money (%v)",
			c.folder(), left)
		return
	}
	c.ok("bucket", "objects below %s can be written, read, listed, deleted and created only if absent", c.folder())
}

// storageOptions are those of the check's buckets: it makes no bucket, and gives up early.
func (c *check) storageOptions() storage.Options {
	return storage.Options{Log: c.log, RetryTimeout: min(c.cfg.RetryTimeout, retryTimeout), MustExist: true, Interactive: true}
}

// folder is the prefix of the run's objects in the bucket.
func (c *check) folder() string { return "runs/" + c.cfg.Run + "/" }

// scratch returns a new prefix for objects that the check deletes again.
func (c *check) scratch() string {
	return c.folder() + ".check-" + strings.ToLower(rand.Text()[:12])
}

// sweep deletes the objects below a scratch prefix, also after ctx has ended.
func (c *check) sweep(ctx context.Context, bucket *storage.Bucket, prefix string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	keys, err := bucket.List(ctx, prefix)
	for _, key := range keys {
		err = errors.Join(err, bucket.Delete(ctx, key))
	}
	return err
}

// uploadSample is the size of one part of a large upload, in bytes. Less would measure the latency.
const uploadSample = 8 << 20

// timeUpload times the upload of one object: as large as the state, and uploadSample at most.
func (c *check) timeUpload(ctx context.Context) {
	if c.bucket == nil {
		return
	}
	data := make([]byte, min(c.cfg.Model().StateBytes(), uploadSample))
	rand.Read(data) // never fails; cannot be compressed on the way
	prefix := c.scratch()
	begin := time.Now()
	_, err := c.bucket.PutBytes(ctx, prefix, data)
	took := time.Since(begin).Seconds()
	if left := c.sweep(ctx, c.bucket, prefix); left != nil {
		c.warn("upload", "the object that measured the upload could not be deleted: %v", left)
	}
	if err != nil {
		c.fault(ctx, "upload", fmt.Errorf("%s: %w", settings.Variable("Bucket"), err))
		return
	}
	c.rate = float64(len(data)) / max(took, 1e-6)
	c.ok("upload", "%s in %s: %s/s in one stream (measured; a checkpoint goes up in several)",
		settings.FormatBytes(len(data)), settings.FormatSeconds(took), settings.FormatBytes(c.rate))
}
