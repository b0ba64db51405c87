package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/pictures"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// TestPicturesAreTheSameWhoeverDrawsThem: a run has the pictures that its result names, of the
// samples and classes that it says, and an attempt that gets to them again draws the same files.
// Without a kNN there are no neighbours, and pictures that cannot be drawn are none, with a
// warning. With CIJEPA_PICTURES=false there are none.
func TestPicturesAreTheSameWhoeverDrawsThem(t *testing.T) {
	t.Parallel()
	cfg, bucket := fashionRun(t, func(c *settings.Config) {
		c.Depth, c.Depths, c.IntermediateRows, c.Epochs, c.EvalEvery, c.ProbeShare, c.KNNBank = 2, settings.DepthSet{0, 1}, 1, 1, 0, 0.5, 0
	})
	run := func() *record.Pictures {
		t.Helper()
		if err := Run(t.Context(), cfg, record.Versions{}, testLog(t), nil); err != nil {
			t.Fatal(err)
		}
		p := resultOf(t, bucket).Pictures
		if p == nil || p.Neighbours == nil {
			t.Fatalf("the run has the pictures %+v", p)
		}
		for _, s := range p.Sheets() {
			if sum := sha256.Sum256(object(t, bucket, s.File)); hex.EncodeToString(sum[:]) != s.SHA256 {
				t.Errorf("%s has another sha256 than the result says", s.File)
			}
		}
		return p
	}
	first := run()
	if card := string(object(t, bucket, "README.md")); !strings.Contains(card, "](components.jpg)") || !strings.Contains(card, "](neighbours.jpg)") {
		t.Errorf("the card shows no pictures:\n%s", card)
	}
	if err := os.Remove(filepath.Join(strings.TrimPrefix(cfg.Bucket, "file://"), "runs/r/result.json")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first, run()); d != "" {
		t.Errorf("the next attempt drew others:\n%s", d)
	}

	j := openTestJob(t, cfg)
	classes := map[string][]string{} // by split and number
	for split, shards := range j.data.Index.Splits {
		for _, s := range shards {
			for _, label := range s.Samples.Labels {
				classes[split] = append(classes[split], j.class(label))
			}
		}
	}
	off := cfg
	off.Pictures = false
	if p := (&Job{cfg: off}).writePictures(t.Context(), position{}, nil); p != nil {
		t.Errorf("with CIJEPA_PICTURES=false there are pictures: %+v", p)
	}
	chosen := pictures.Choose(64)
	for i, image := range first.Images {
		if image.Sample != chosen[i] || image.Class != classes[machine.ValidationSplit][image.Sample] || len(image.Neighbours) != pictures.Nearest {
			t.Errorf("image %d is %+v", i, image)
		}
		last := 1.0001
		for _, n := range image.Neighbours {
			if n.Class != classes[machine.TrainSplit][n.Sample] || n.Similarity > last || n.Similarity < 0 {
				t.Errorf("image %d has a neighbour %+v, which is of class %s", i, n, classes[machine.TrainSplit][n.Sample])
			}
			last = n.Similarity
		}
	}
	if j.class(-1) != "" {
		t.Errorf("an image without a label is of class %q", j.class(-1))
	}

	if err := os.Remove(filepath.Join(strings.TrimPrefix(cfg.Bucket, "file://"), "runs/r/result.json")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	j.log = slog.New(slog.NewTextHandler(&log, nil))
	j.run = checkpoint.OpenRun(bucket, cfg.Run, "a", j.log)
	at, err := j.restore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := j.writePictures(t.Context(), at, nil); p == nil || p.Neighbours != nil || p.Components != first.Components {
		t.Errorf("without a kNN the pictures are %+v", p)
	}
	if p := j.writePictures(t.Context(), at, [][]classify.Neighbour{{{Sample: 1 << 30}}}); p != nil || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("pictures of a sample that is not there: %+v\n%s", p, &log)
	}
	log.Reset()
	at.probes.teacher = &model.Encoder{}
	if p := j.writePictures(t.Context(), at, nil); p != nil || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("pictures of a teacher without weights: %+v\n%s", p, &log)
	}
	at.probes = nil
	func() {
		var err error
		defer func() {
			if err == nil {
				t.Error("a panic is no error")
			}
		}()
		defer panicked(&err)
		_ = at.probes.teacher
	}()
}

// object reads an object of the run.
func object(t *testing.T, bucket *storage.Bucket, name string) []byte {
	t.Helper()
	data, err := bucket.Get(t.Context(), "runs/r/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
