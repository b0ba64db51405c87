package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/storage"
)

// recordVersion is the version of run.json and result.json.
const recordVersion = 1

// record is run.json: what the run is, written once when it begins. Recipe and Fingerprint bind every attempt; the rest is
// information.
type record struct {
	Version     int       `json:"version"`
	Preset      string    `json:"preset"`
	Recipe      Recipe    `json:"recipe"`
	Fingerprint string    `json:"data_fingerprint"`
	Versions    Versions  `json:"versions"`
	Begun       time.Time `json:"begun"`
}

// begin writes run.json, or checks that the one that is there asks for the same computation on the same data.
func (j *Job) begin(ctx context.Context) error {
	mine := record{recordVersion, j.cfg.Preset, j.cfg.Recipe, j.data.Fingerprint(), j.versions, time.Now().UTC()}
	text, err := json.MarshalIndent(mine, "", "  ")
	if err != nil {
		return err
	}
	stored, err := j.run.Begin(ctx, text)
	if err != nil {
		return fmt.Errorf("beginning the run: %w", err)
	}
	j.begun = mine.Begun
	if bytes.Equal(stored, text) {
		return nil
	}
	theirs, err := readRecord(stored, j.key("run.json"))
	if err != nil {
		return err
	}
	j.begun = theirs.Begun
	return mine.differences(theirs, j.key("run.json"))
}

// readRecord reads run.json.
func readRecord(text []byte, key string) (r record, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version != recordVersion {
		err = fmt.Errorf("version %d, and this program reads %d", r.Version, recordVersion)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %w; put a copy back, or begin anew under another %s_RUN", key, storage.ErrCorrupt, err, Prefix)
	}
	return r, err
}

// finished reads the result that is there: it must be a result, and of this recipe.
func finished(recipe Recipe, text []byte, key string) (r Result, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version != recordVersion {
		err = fmt.Errorf("version %d, and this program reads %d", r.Version, recordVersion)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; delete it, and the run writes it again", key, storage.ErrCorrupt, err)
	}
	return r, record{Recipe: recipe}.differences(record{Recipe: r.Recipe}, key)
}

// environment names what decides the last bits beside the recipe: program, Go and its experiments, decoder, backend.
func (j *Job) environment() string {
	v := j.versions
	return fmt.Sprintf("cijepa %s %s, %s %s, gomlx %s, go-xla %s, %s, %s", v.Program, v.Commit, runtime.Version(), runtime.GOARCH, v.GoMLX, v.GoXLA, input.Decoder(), j.device.Description())
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
func (r record) differences(theirs record, key string) error {
	faults := &SettingsError{}
	mine, other := settings(reflect.ValueOf(&r.Recipe).Elem()), settings(reflect.ValueOf(&theirs.Recipe).Elem())
	for i, s := range mine {
		if got, was := fmt.Sprint(s.value), fmt.Sprint(other[i].value); got != was {
			faults.add(s.variable, got, fmt.Sprintf("this run was begun with %s (%s); set it back, or choose another %s_RUN", was, key, Prefix))
		}
	}
	if r.Fingerprint != theirs.Fingerprint {
		faults.add(variable("Data"), r.Recipe.Data, fmt.Sprintf("its index.json has changed since this run began (fingerprint %.12s, was %.12s); choose another %s_RUN", r.Fingerprint, theirs.Fingerprint, Prefix))
	}
	return faults.orNil()
}

// attempt names this attempt for a reader of the bucket: in a cluster the host is the pod.
func attempt() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "host"
	}
	return host
}
