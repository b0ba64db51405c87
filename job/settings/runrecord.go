package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// RunRecord is run.json as this package writes it.
type RunRecord = record.RunRecord[Recipe]

// ReadRunRecord reads run.json.
func ReadRunRecord(text []byte, key string) (r RunRecord, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version == 0 {
		err = errNoRecord
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; put a copy back, or begin anew under another %s", key, storage.ErrCorrupt, err, Variable("Run"))
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
	return &Error{[]Fault{{Variable("Run"), "", fmt.Sprintf("another version of cijepa has written %s (format %d, and this one reads %d): go on with that one, or choose another name", key, version, record.Version)}}}
}

// ReadResult reads the result that is there: it must be a result, and of this recipe.
func ReadResult(recipe Recipe, text []byte, key string) (r Result, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version == 0 {
		err = errNoRecord
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; delete it, and the run writes it again", key, storage.ErrCorrupt, err)
	}
	if err := sameVersion(r.Version, key); err != nil {
		return r, err
	}
	return r, Conflicts(RunRecord{Recipe: recipe}, RunRecord{Recipe: r.Recipe}, key)
}

// Conflicts makes a settings error of what another attempt of the run was told otherwise.
func Conflicts(mine, theirs RunRecord, key string) error {
	faults := &Error{}
	if mine.Recipe.MicroBatch == 0 {
		mine.Recipe.MicroBatch = theirs.Recipe.MicroBatch // it is the run's to choose, see fit
	}
	ours, other := fields(reflect.ValueOf(&mine.Recipe).Elem()), fields(reflect.ValueOf(&theirs.Recipe).Elem())
	for i, s := range ours {
		if got, was := fmt.Sprint(s.value), fmt.Sprint(other[i].value); got != was {
			faults.Add(s.variable, got, fmt.Sprintf("this run was begun with %s (%s); set it back, or choose another %s_RUN", was, key, Prefix))
		}
	}
	if mine.Fingerprint != theirs.Fingerprint {
		faults.Add(Variable("Data"), mine.Recipe.Data, fmt.Sprintf("its index.json has changed since this run began (fingerprint %.12s, was %.12s); choose another %s_RUN", mine.Fingerprint, theirs.Fingerprint, Prefix))
	}
	return faults.OrNil()
}

// Result is result.json as this package writes it.
type Result = record.Result[Recipe]
