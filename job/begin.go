package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// beginning is run.json as this package writes it.
type beginning = record.Begun[Recipe]

// begin writes run.json, or checks that the one that is there asks for the same computation on the same data. Another
// recipe is refused before anything is compiled for it.
func (j *Job) begin(ctx context.Context) error {
	mine := beginning{Version: record.Version, Preset: j.cfg.Preset, Recipe: j.cfg.Recipe, Fingerprint: j.data.Fingerprint(), Versions: j.versions}
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
func (j *Job) join(ctx context.Context, mine beginning, stored []byte) error {
	theirs, err := readRecord(stored, j.key("run.json"))
	if err != nil {
		return err
	}
	if err := differences(mine, theirs, j.key("run.json")); err != nil {
		return err
	}
	j.begun, j.cfg.MicroBatch = theirs.Begun, theirs.Recipe.MicroBatch
	return j.fit(ctx, &theirs.Recipe)
}

// readRecord reads run.json.
func readRecord(text []byte, key string) (r beginning, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version == 0 {
		err = errNoRecord
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; put a copy back, or begin anew under another %s", key, storage.ErrCorrupt, err, variable("Run"))
	}
	return r, sameVersion(r.Version, key)
}

// errNoRecord is JSON of somebody else.
var errNoRecord = errors.New("it names no version of its format")

// sameVersion refuses what another version of the program has written, and this one may misread.
func sameVersion(version int, key string) error {
	if version == record.Version {
		return nil
	}
	return &SettingsError{[]Fault{{variable("Run"), "", fmt.Sprintf("another version of cijepa has written %s (format %d, and this one reads %d): go on with that one, or choose another name", key, version, record.Version)}}}
}

// finished reads the result that is there: it must be a result, and of this recipe.
func finished(recipe Recipe, text []byte, key string) (r Result, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version == 0 {
		err = errNoRecord
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; delete it, and the run writes it again", key, storage.ErrCorrupt, err)
	}
	if err := sameVersion(r.Version, key); err != nil {
		return r, err
	}
	return r, differences(beginning{Recipe: recipe}, beginning{Recipe: r.Recipe}, key)
}

// environment names what decides the last bits beside the recipe: program, Go and its experiments, decoder, backend, plugin,
// driver and flags, or where there is no plugin the processor.
func (j *Job) environment() string {
	v := j.versions
	here := fmt.Sprintf("cijepa %s %s build %s, %s %s, gomlx %s, go-xla %s, %s, %s", v.Program, v.Commit, v.Build, runtime.Version(), runtime.GOARCH, v.GoMLX, v.GoXLA, input.Decoder(), j.device.Description())
	vectors := vectors()
	if v.Plugin != "" {
		vectors = "" // the host computes no sum of the run
	}
	for _, more := range []string{v.Plugin, v.Driver, j.device.Flags(), vectors} {
		if more != "" {
			here += ", " + more
		}
	}
	if j.programs.own() {
		here += ", with programs of its own"
	}
	return here
}

// takePart enters this attempt's environment into the figures of the run, and says it when it is another than before.
func (j *Job) takePart(p *Progress) {
	here := j.environment()
	if n := len(p.Environments); n > 0 && p.Environments[n-1] != here {
		j.log.Warn("the run goes on in another environment: it is not exact to the bit", "before", p.Environments[n-1], "now", here)
	}
	if !slices.Contains(p.Environments, here) {
		p.Environments = append(p.Environments, here)
	}
}

// differences makes a settings error of what another attempt of the run was told otherwise.
func differences(mine, theirs beginning, key string) error {
	faults := &SettingsError{}
	if mine.Recipe.MicroBatch == 0 {
		mine.Recipe.MicroBatch = theirs.Recipe.MicroBatch // it is the run's to choose, see fit
	}
	ours, other := settings(reflect.ValueOf(&mine.Recipe).Elem()), settings(reflect.ValueOf(&theirs.Recipe).Elem())
	for i, s := range ours {
		if got, was := fmt.Sprint(s.value), fmt.Sprint(other[i].value); got != was {
			faults.add(s.variable, got, fmt.Sprintf("this run was begun with %s (%s); set it back, or choose another %s_RUN", was, key, Prefix))
		}
	}
	if mine.Fingerprint != theirs.Fingerprint {
		faults.add(variable("Data"), mine.Recipe.Data, fmt.Sprintf("its index.json has changed since this run began (fingerprint %.12s, was %.12s); choose another %s_RUN", mine.Fingerprint, theirs.Fingerprint, Prefix))
	}
	return faults.orNil()
}

// hostName names this attempt for a reader of the bucket: in a cluster the host is the pod.
func hostName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "host"
	}
	return host
}
