package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/cijepa/cijepa/storage"
)

// record is run.json: what the run is, written once when it begins. Begun is information; the rest binds.
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
	mine := record{1, j.cfg.Preset, j.cfg.Recipe, j.data.Fingerprint(), j.versions, time.Now().UTC()}
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
	var theirs record
	if err := json.Unmarshal(stored, &theirs); err != nil {
		return fmt.Errorf("%s: %w: %w", j.key("run.json"), storage.ErrCorrupt, err)
	}
	j.begun = theirs.Begun
	return mine.differences(theirs, j.key("run.json"))
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
