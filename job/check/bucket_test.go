package check

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestCheckMakesNoBucket: a missing folder is reported and not made. As the bucket of runs alone it
// is no fault, because a run makes it.
func TestCheckMakesNoBucket(t *testing.T) {
	cfg, _ := smallRun(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		bucket, data string
		fault        string
		says         string
	}{
		{"file://" + missing, cfg.DataBucket, "", "the folder does not exist: " + missing + "; a run would make it"},
		{"file://" + missing, "file://" + missing, "CIJEPA_BUCKET", "the folder does not exist: " + missing},
		{cfg.Bucket, "file://" + missing, "CIJEPA_DATA_BUCKET", "the folder does not exist: " + missing},
	} {
		changed := cfg
		changed.Bucket, changed.DataBucket = c.bucket, c.data
		var out bytes.Buffer
		k := &check{cfg: changed, out: &out, log: storagetest.Log(t)}
		k.checkBucket(t.Context())
		k.checkData(t.Context())
		k.close()
		var faults []string
		for _, f := range k.faults.Faults {
			faults = append(faults, f.Variable)
		}
		if strings.Join(faults, " ") != c.fault || len(k.errs) > 0 || !strings.Contains(out.String(), c.says) {
			t.Errorf("faults %v %v, want %q, in\n%s", faults, k.errs, c.fault, &out)
		}
		if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("it was made: %v", err)
		}
	}
}

// TestBucketWithoutDeletesIsAWarning: old checkpoints stay, and a run can do without.
func TestBucketWithoutDeletesIsAWarning(t *testing.T) {
	cfg, _ := smallRun(t)
	cfg.Bucket = failing(t, storagetest.Always(storagetest.Denied, storagetest.Delete))
	var out bytes.Buffer
	c := &check{cfg: cfg, out: &out, log: storagetest.Log(t)}
	if c.checkBucket(t.Context()); len(c.errs) > 0 || c.count(Warning) != 1 || !strings.Contains(out.String(), "not deleted") {
		t.Errorf("%v\n%s", c.errs, &out)
	}
	c.close()
}
