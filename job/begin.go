package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// begin writes run.json, or checks that the one that is there asks for the same computation on the same data. Another
// recipe is refused before anything is compiled for it.
func (j *Job) begin(ctx context.Context) error {
	mine := settings.RunRecord{Version: record.Version, Preset: j.cfg.Preset, Recipe: j.cfg.Recipe, Fingerprint: j.data.Fingerprint(), Versions: j.versions}
	switch stored, err := j.run.Record(ctx); {
	case err == nil:
		return j.join(ctx, mine, stored)
	case !errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("reading the record of the run: %w", err)
	}
	if err := j.fit(ctx, nil); err != nil {
		return err
	}
	own := mine
	own.Recipe, own.Begun = j.cfg.Recipe, time.Now().UTC()
	text, err := json.MarshalIndent(own, "", "  ")
	if err != nil {
		return err
	}
	stored, err := j.run.Begin(ctx, text)
	if err != nil {
		return fmt.Errorf("beginning the run: %w", err)
	}
	if !bytes.Equal(stored, text) { // another attempt has begun it meanwhile
		return j.join(ctx, mine, stored)
	}
	j.begun = own.Begun
	return nil
}

// join takes part in the run that run.json describes, with the micro-batch that stands there.
func (j *Job) join(ctx context.Context, mine settings.RunRecord, stored []byte) error {
	theirs, err := settings.ReadRunRecord(stored, j.key("run.json"))
	if err != nil {
		return err
	}
	if err := settings.Conflicts(mine, theirs, j.key("run.json")); err != nil {
		return err
	}
	j.begun, j.cfg.MicroBatch = theirs.Begun, theirs.Recipe.MicroBatch
	return j.fit(ctx, &theirs.Recipe)
}

// environment names what decides the last bits beside the recipe: program, Go and its experiments, decoder, backend, plugin,
// driver and flags, or where there is no plugin the processor.
func (j *Job) environment() string {
	v := j.versions
	here := fmt.Sprintf("cijepa %s %s build %s, %s %s, gomlx %s, go-xla %s, %s, %s", v.Program, v.Commit, v.Build, runtime.Version(), runtime.GOARCH, v.GoMLX, v.GoXLA, pixels.DecoderName(), j.device.Description())
	vectors := machine.VectorUnit()
	if v.Plugin != "" {
		vectors = "" // the host computes no sum of the run
	}
	for _, more := range []string{v.Plugin, v.Driver, j.device.Flags(), vectors} {
		if more != "" {
			here += ", " + more
		}
	}
	if j.programs.UsesLocalPrograms() {
		here += ", with programs of its own"
	}
	return here
}

// recordEnvironment enters this attempt's environment into the figures of the run, and says it when it is another than before.
func (j *Job) recordEnvironment(p *Progress) {
	here := j.environment()
	if n := len(p.Environments); n > 0 && p.Environments[n-1] != here {
		j.log.Warn("the run goes on in another environment: it is not exact to the bit", "before", p.Environments[n-1], "now", here)
	}
	if !slices.Contains(p.Environments, here) {
		p.Environments = append(p.Environments, here)
	}
}

// fit settles the micro-batch before the run begins, and finds out before its first update whether the device has the memory
// for it. theirs is the recipe of a run that has begun; nil: of none.
func (j *Job) fit(ctx context.Context, theirs *settings.Recipe) (err error) {
	j.live.Doing("trying the largest step")
	j.cfg, err = machine.ChooseMicroBatch(ctx, j.device, j.cfg, theirs, theirs == nil, j.log)
	return err
}
