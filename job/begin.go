package job

import (
	"bytes"
	"context"
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

// begin writes run.json, or joins the run whose run.json is there. A run of another recipe or of
// other data is refused before anything is compiled.
func (j *Job) begin(ctx context.Context) error {
	if err := j.readTeacher(ctx); err != nil {
		return err
	}
	want := settings.RunRecord{
		Version: record.Version, Preset: j.cfg.Preset, Recipe: j.cfg.Recipe, Fingerprint: j.data.Fingerprint(), Versions: j.versions,
	}
	if j.probed != nil {
		want.Teacher = j.probed.said
	}
	switch stored, err := j.run.Record(ctx); {
	case err == nil:
		return j.join(ctx, want, stored)
	case !errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("reading the record of the run: %w", err)
	}
	if j.probed == nil {
		if err := j.chooseMicroBatch(ctx, nil); err != nil {
			return err
		}
	}
	begun := want
	begun.Recipe, begun.Begun = j.cfg.Recipe, time.Now().UTC()
	text, err := record.Seal(begun)
	if err != nil {
		return err
	}
	stored, err := j.run.Begin(ctx, text)
	if err != nil {
		return fmt.Errorf("beginning the run: %w", err)
	}
	if !bytes.Equal(stored, text) { // another attempt was first
		return j.join(ctx, want, stored)
	}
	j.begun = begun.Begun
	return nil
}

// join checks that run.json names the same recipe and data, and takes the micro-batch from it.
func (j *Job) join(ctx context.Context, want settings.RunRecord, text []byte) error {
	stored, err := settings.ReadRunRecord(text, j.run.Key("run.json"))
	if err != nil {
		return err
	}
	if err := settings.Conflicts(want, stored, j.run.Key("run.json")); err != nil {
		return err
	}
	if err := j.checkTeacher(stored.Teacher); err != nil {
		return err
	}
	j.begun, j.cfg.MicroBatch = stored.Begun, stored.Recipe.MicroBatch
	if j.probed != nil {
		return nil // a probe needs less memory than an update of pretraining
	}
	return j.chooseMicroBatch(ctx, &stored.Recipe)
}

// environment names what decides the last bits of a run beside its recipe: the program, Go, GoMLX,
// the image decoder, the device, and the plugin, its driver and flags or, without a plugin, the
// vector unit.
func (j *Job) environment() string {
	v := j.versions
	here := fmt.Sprintf("cijepa %s %s build %s, %s %s, gomlx %s, go-xla %s, %s, %s",
		v.Program, v.Commit, v.Build, runtime.Version(), runtime.GOARCH, v.GoMLX, v.GoXLA, pixels.DecoderName(), j.device.Description())
	vectors := machine.VectorUnit()
	if v.Plugin != "" {
		vectors = "" // the host computes no sum
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

// recordEnvironment adds this attempt's environment to the progress, and warns if it is not the one
// before: the run then goes on, but its last bits may be others.
func (j *Job) recordEnvironment(p *Progress) {
	here := j.environment()
	if n := len(p.Environments); n > 0 && p.Environments[n-1] != here {
		j.log.Warn("the run goes on in another environment: it is not exact to the bit", "before", p.Environments[n-1], "now", here)
	}
	if !slices.Contains(p.Environments, here) {
		p.Environments = append(p.Environments, here)
	}
}

// chooseMicroBatch chooses the micro-batch of a new run, or checks that the device has the memory
// for that of a run that has begun, whose recipe is stored.
func (j *Job) chooseMicroBatch(ctx context.Context, stored *settings.Recipe) (err error) {
	j.live.Doing("trying the largest step")
	j.cfg, err = machine.ChooseMicroBatch(ctx, j.device, j.cfg, stored, stored == nil, j.log)
	return err
}
