package settings

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// RunRecord is run.json as this package writes it.
type RunRecord = record.RunRecord[Recipe]

// Result is result.json as this package writes it.
type Result = record.Result[Recipe]

// ReadRunRecord reads run.json. The key is for messages. Bytes that record.Seal would not have
// written, and a micro-batch that no run can have, are storage.ErrCorrupt. A record of another
// version of the format is an *Error.
func ReadRunRecord(text []byte, key string) (r RunRecord, err error) {
	err = readSealed(text, &r, key, "put a copy back, or begin anew under another "+Variable("Run"))
	if micro := r.Recipe.MicroBatch; err == nil && micro != 0 && (micro < 0 || r.Recipe.Batch%micro != 0) {
		err = fmt.Errorf("%s: %w: its micro-batch %d is no divisor of its batch %d; put a copy back, or begin anew under another %s",
			key, storage.ErrCorrupt, micro, r.Recipe.Batch, Variable("Run"))
	}
	return r, err
}

// ReadResult reads result.json and checks that it is of this recipe. The key is for messages. Bytes
// that record.Seal would not have written are storage.ErrCorrupt; another recipe or version of the
// format is an *Error.
func ReadResult(recipe Recipe, text []byte, key string) (r Result, err error) {
	if err = readSealed(text, &r, key, "delete it, and the run writes it again"); err != nil {
		return r, err
	}
	return r, Conflicts(RunRecord{Recipe: recipe}, RunRecord{Recipe: r.Recipe}, key)
}

// readSealed decodes a record and refuses all bytes but those that record.Seal writes of it: a key
// in another case or a key that stands twice would be read, and is not what was written.
func readSealed(text []byte, to any, key, advice string) error {
	err := record.Unseal(text, to)
	if version, ok := errors.AsType[*record.VersionError](err); ok {
		return NewError("Run", "", fmt.Sprintf("another version of cijepa has written %s (format %d, and this one reads %d): "+
			"go on with that one, or choose another name", key, version.Version, record.Version))
	}
	if err == nil {
		var again []byte
		if again, err = record.Seal(to); err == nil && !bytes.Equal(again, text) {
			err = errors.New("it is not as cijepa writes it")
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w; %s", key, storage.ErrCorrupt, err, advice)
	}
	return nil
}

// Conflicts returns an *Error with every setting of want that differs from the recipe stored under
// key, and with the data if its fingerprint differs; nil if there is none. An unset micro-batch is
// no conflict: the run has chosen it.
func Conflicts(want, stored RunRecord, key string) error {
	faults := &Error{}
	if want.Recipe.MicroBatch == 0 {
		want.Recipe.MicroBatch = stored.Recipe.MicroBatch
	}
	was := fields(&stored.Recipe)
	for i, s := range fields(&want.Recipe) {
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
