package check

import (
	"context"
	"errors"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// checkRun finds out where the run stands, and whether it was begun with the same recipe on the
// same data.
func (c *check) checkRun(ctx context.Context) {
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
		c.ok("run", "%s is done already: %sresult.json is there, and starting the run again does nothing",
			c.cfg.Run, c.folder())
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
	// The newest manifest says where the run stands; its state is not loaded.
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

// compare compares run.json with the settings and, if it could be read, with the data.
func (c *check) compare(text []byte, key string) error {
	stored, err := settings.ReadRunRecord(text, key)
	if err != nil {
		return err
	}
	c.recorded = &stored.Recipe
	want := settings.RunRecord{Recipe: c.cfg.Recipe, Fingerprint: stored.Fingerprint}
	if c.data != nil {
		want.Fingerprint = c.data.Fingerprint()
	}
	return settings.Conflicts(want, stored, key)
}
