package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// exported runs cijepa export and returns the file of weights.
func exported(t *testing.T, bucket, folder string, args ...string) []byte {
	t.Helper()
	code, out, log := typed(t, []string{"CIJEPA_BUCKET=" + bucket}, append([]string{"export", "runs/tiny", "-out", folder}, args...)...)
	if code != 0 || !strings.Contains(out, "hf upload OWNER/NAME "+folder) {
		t.Fatalf("%q: exit %d\n%s%s", args, code, out, log)
	}
	weights, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return weights
}

// TestExportOfTeacherAndStudent: what is exported of a finished run is its teacher to the bit, also
// by the update at which pretraining ended; the student is another network.
func TestExportOfTeacherAndStudent(t *testing.T) {
	r, bucket := alone(t)
	end := strconv.FormatInt(r.Metrics.Updates, 10)
	teacher := exported(t, bucket, t.TempDir())
	if sum := sha256.Sum256(teacher); hex.EncodeToString(sum[:]) != r.Metrics.TeacherSHA256 {
		t.Error("the teacher that is exported is not the run's")
	}
	if string(exported(t, bucket, t.TempDir(), "-step", end)) != string(teacher) {
		t.Error("the teacher of the last checkpoint is not the run's")
	}
	student := exported(t, bucket, t.TempDir(), "-student")
	if len(student) != len(teacher) || string(student) == string(teacher) {
		t.Error("the student is the teacher")
	}
	if string(exported(t, bucket, t.TempDir(), "-student", "-step", end)) != string(student) {
		t.Error("the student of the last checkpoint is another")
	}
}

// TestExportTakesThePicturesAlong: those that the card of the teacher shows. A picture that is
// damaged is left out of folder and card, and the weights are exported all the same.
func TestExportTakesThePicturesAlong(t *testing.T) {
	r, bucket := alone(t)
	if r.Pictures == nil || r.Pictures.Neighbours == nil {
		t.Fatalf("the run has the pictures %+v", r.Pictures)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(strings.TrimPrefix(bucket, "file://"))); err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []bool{false, true} {
		if damaged {
			if err := os.WriteFile(filepath.Join(copied, "runs/tiny/neighbours.jpg"), []byte("no picture"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		folder := t.TempDir()
		exported(t, "file://"+copied, folder)
		card, err := os.ReadFile(filepath.Join(folder, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Pictures.Sheets() {
			data, err := os.ReadFile(filepath.Join(folder, s.File))
			sum := sha256.Sum256(data)
			if whole := err == nil && hex.EncodeToString(sum[:]) == s.SHA256; whole == damaged {
				t.Errorf("damaged %v: %s is there and whole: %v", damaged, s.File, whole)
			}
			if shown := strings.Contains(string(card), "]("+s.File+")"); shown == damaged {
				t.Errorf("damaged %v: the card shows %s: %v", damaged, s.File, shown)
			}
		}
	}
}

// TestExportOfWhatIsNotThere: a run or an update that is not there is a fault of the command line,
// and the message says what there is.
func TestExportOfWhatIsNotThere(t *testing.T) {
	_, bucket := alone(t)
	for _, c := range []struct{ args, want string }{
		{"runs/tiny -step 1", "pretrain 36"},
		{"runs/other", "there is no runs/other/run.json"},
		{"tiny", `export takes runs/NAME, not "tiny"`},
		{"runs/tiny -step -1", "counted from 1"},
	} {
		args := append([]string{"export", "-out", t.TempDir()}, strings.Fields(c.args)...)
		code, _, log := typed(t, []string{"CIJEPA_BUCKET=" + bucket}, args...)
		if code != exitSettings || !strings.Contains(log, strings.ReplaceAll(c.want, `"`, `\"`)) {
			t.Errorf("%s: exit %d\n%s", c.args, code, log)
		}
	}
	if code, _, log := typed(t, nil, "export", "runs/tiny"); code != exitSettings || !strings.Contains(log, "CIJEPA_BUCKET is not set") {
		t.Errorf("without a bucket: exit %d\n%s", code, log)
	}
}

// TestTimmLoadsARun: timm loads the folder of a run and what is exported of it, and both are the
// same network.
func TestTimmLoadsARun(t *testing.T) {
	interpreter := asked["CIJEPA_PYTHON"]
	if interpreter == "" {
		t.Skip("only with CIJEPA_PYTHON, an interpreter that has torch, safetensors and timm")
	}
	_, bucket := alone(t)
	folder := t.TempDir()
	exported(t, bucket, folder)
	picture := filepath.Join("..", "..", "job", "input", "pixels", "testdata", "golden", "photo420.jpg")
	var said []string
	for _, of := range []string{folder, strings.TrimPrefix(bucket, "file://") + "/runs/tiny"} {
		out, err := exec.Command(interpreter, filepath.Join("..", "..", "job", "teacher", "testdata", "timm_loads.py"), of, picture).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", of, err, out)
		}
		var loaded struct{ Features, Depths, Card json.RawMessage }
		if err := json.Unmarshal(out, &loaded); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		said = append(said, string(loaded.Features)+string(loaded.Depths)+string(loaded.Card))
	}
	if said[0] != said[1] || len(said[0]) < 1000 {
		t.Errorf("timm computes of the export\n%.300s\nand of the run's folder\n%.300s", said[0], said[1])
	}
}
