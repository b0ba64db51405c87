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

// Result is result.json as this package writes it.
type Result = record.Result[Recipe]

// errNoRecord is JSON that is no record of this program.
var errNoRecord = errors.New("it names no version of its format")

// ReadRunRecord reads run.json. The key is for messages. Text that is no record is
// storage.ErrCorrupt, a record of another version of the format is an *Error.
func ReadRunRecord(text []byte, key string) (r RunRecord, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version == 0 {
		err = errNoRecord
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; put a copy back, or begin anew under another %s",
			key, storage.ErrCorrupt, err, Variable("Run"))
	}
	return r, checkVersion(r.Version, key)
}

// ReadResult reads result.json and checks that it is of this recipe. The key is for messages. Text
// that is no result is storage.ErrCorrupt; another recipe or version of the format is an *Error.
func ReadResult(recipe Recipe, text []byte, key string) (r Result, err error) {
	if err = json.Unmarshal(text, &r); err == nil && r.Version == 0 {
		err = errNoRecord
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w; delete it, and the run writes it again", key, storage.ErrCorrupt, err)
	}
	if err := checkVersion(r.Version, key); err != nil {
		return r, err
	}
	return r, Conflicts(RunRecord{Recipe: recipe}, RunRecord{Recipe: r.Recipe}, key)
}

// checkVersion refuses an object that another version of the program wrote, as this one may misread
// it.
func checkVersion(version int, key string) error {
	if version == record.Version {
		return nil
	}
	return NewError("Run", "", fmt.Sprintf("another version of cijepa has written %s (format %d, and this one reads %d): "+
		"go on with that one, or choose another name", key, version, record.Version))
}

// Conflicts returns an *Error with every setting of want that differs from the recipe stored under
// key, and with the data if its fingerprint differs; nil if there is none. An unset micro-batch is
// no conflict: the run has chosen it.
func Conflicts(want, stored RunRecord, key string) error {
	faults := &Error{}
	if want.Recipe.MicroBatch == 0 {
		want.Recipe.MicroBatch = stored.Recipe.MicroBatch
	}
	was := fields(reflect.ValueOf(&stored.Recipe).Elem())
	for i, s := range fields(reflect.ValueOf(&want.Recipe).Elem()) {
		if now, was := fmt.Sprint(s.value), fmt.Sprint(was[i].value); now != was {
			faults.Add(s.variable, now, fmt.Sprintf("this run was begun with %s (%s); set it back, or choose another %s",
				was, key, Variable("Run")))
		}
	}
	if want.Fingerprint != stored.Fingerprint {
		faults.Add(Variable("Data"), want.Recipe.Data,
			fmt.Sprintf("its index.json has changed since this run began (fingerprint %.12s, was %.12s); choose another %s",
				want.Fingerprint, stored.Fingerprint, Variable("Run")))
	}
	return faults.OrNil()
}
