package checkpoint

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Record says which right is missing, and does not ask for one that is there.
func TestRecordNamesTheMissingRight(t *testing.T) {
	rights := map[storagetest.Op]string{storagetest.Write: "s3:PutObject", storagetest.Read: "s3:GetObject", storagetest.List: "s3:ListBucket"}
	for _, fault := range []storagetest.Fault{storagetest.Denied, storagetest.DeniedAsMissing} {
		for refused := range rights {
			synctest.Test(t, func(t *testing.T) {
				store := storagetest.NewStore(t)
				b := store.Open(storage.Options{})
				store.Plan(storagetest.Always(fault, refused))
				_, err := OpenRun(b, "test", "pod", nil).Record(t.Context())
				if !errors.Is(err, storage.ErrDenied) {
					t.Fatalf("%s of %s: %v", fault, refused, err)
				}
				for op, right := range rights {
					if strings.Contains(err.Error(), right) != (op == refused) {
						t.Errorf("%s of %s: wrong advice: %v", fault, refused, err)
					}
				}
			})
		}
	}
}

// A bucket that forbids deletion still takes a run.
func TestRunWithoutTheRightToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storagetest.Options(t))
		store.Plan(storagetest.Always(storagetest.Denied, storagetest.Delete))
		if err := life(t.Context(), t, b); err != nil {
			t.Error(err)
		}
		checkWhole(t, store)
	})
}
