package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// probed runs cijepa probe with some settings and no others but the bucket.
func probed(t *testing.T, bucket string, set ...string) (code int, log string) {
	t.Helper()
	code, _, log = typed(t, append([]string{"CIJEPA_BUCKET=" + bucket, "CIJEPA_BACKEND=go:ops_sequential", "CIJEPA_CACHE_DIR=" + t.TempDir(),
		"CIJEPA_SAVE_EVERY=200ms"}, set...), "probe")
	return code, log
}

// figures reads the result of a probe and checks it against the schema.
func figures(t *testing.T, bucket, run, name string) (r settings.Result) {
	t.Helper()
	b, err := storage.Open(t.Context(), bucket, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	text, err := b.Get(t.Context(), "runs/"+run+"/probes/"+name+".json")
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, text)
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	checkPredictions(t, b, "runs/"+run+"/probes/"+name+".json", r)
	return r
}

// copied is a bucket of its own with the data and the undisturbed run.
func copied(t *testing.T) (settings.Result, string) {
	t.Helper()
	r, from := alone(t)
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(strings.TrimPrefix(from, "file://"))); err != nil {
		t.Fatal(err)
	}
	return r, "file://" + filepath.ToSlash(folder)
}

// TestProbeOfARunGivesItsFigures: on the run's own data and seed the probe of a run's teacher gives
// the run's figures to the digit, from the end of the run, from its last checkpoint and from the
// file alone, and nothing of the run changes.
func TestProbeOfARunGivesItsFigures(t *testing.T) {
	t.Parallel()
	run, bucket := copied(t)
	folder := strings.TrimPrefix(bucket, "file://")
	before := listing(t, filepath.Join(folder, "runs"))
	elsewhere := filepath.Join(t.TempDir(), "a.safetensors")
	teacher, err := os.ReadFile(filepath.Join(folder, "runs", "tiny", "teacher.safetensors"))
	if err == nil {
		err = os.WriteFile(elsewhere, teacher, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		run, name string
		from      record.Teacher
		set       []string
	}{
		{"tiny", "tiny", record.Teacher{From: "runs/tiny"}, []string{"CIJEPA_RUN=tiny"}},
		{"tiny", "tiny-step36", record.Teacher{From: "runs/tiny", Step: 36}, []string{"CIJEPA_TEACHER=runs/tiny@36"}},
		{"other", "tiny", record.Teacher{From: "file://" + elsewhere}, append([]string{"CIJEPA_TEACHER=file://" + elsewhere, "CIJEPA_RUN=other"}, sizesOf(tinyRun)...)},
	} {
		code, log := probed(t, bucket, c.set...)
		if code != 0 {
			t.Fatalf("%v: exit %d\n%s", c.set, code, log)
		}
		r := figures(t, bucket, c.run, c.name)
		if r.Teacher == nil || r.Teacher.From != c.from.From || r.Teacher.Step != c.from.Step {
			t.Errorf("it is a probe of %+v, want %+v", r.Teacher, c.from)
		}
		if c.from.Step == 0 && r.Metrics.TeacherSHA256 != run.Metrics.TeacherSHA256 {
			t.Error("it is another teacher")
		}
		got, want := scoresOf(r.Metrics), scoresOf(run.Metrics)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v: the probe has other figures than the run:\n%s", c.set, d)
		}
		if r.Predictions.SHA256 != run.Predictions.SHA256 {
			t.Errorf("%v: the probe has other predictions than the run", c.set)
		}
	}
	if code, log := probed(t, bucket, "CIJEPA_TEACHER=runs/tiny"); code != 0 || !strings.Contains(log, "done already") {
		t.Errorf("once more: exit %d\n%s", code, log)
	}
	tableOfTheREADME(t, folder, elsewhere, run)
	after := listing(t, filepath.Join(folder, "runs"))
	for name := range after {
		if strings.HasPrefix(name, "tiny/probes/") || strings.HasPrefix(name, "other/") {
			delete(after, name)
		}
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("the probes changed the run:\n%s", d)
	}
}

// tableOfTheREADME types the README's command that makes a table of a bucket's results.
func tableOfTheREADME(t *testing.T, folder, elsewhere string, run settings.Result) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^cat runs/.*\n.*jq -r .*$`).FindString(string(readme))
	if _, err := exec.LookPath("jq"); err != nil {
		t.Log("the README's table is not tried: there is no jq")
		return
	}
	shell := exec.Command("sh", "-c", command)
	shell.Dir = folder
	out, err := shell.CombinedOutput()
	want := ""
	for _, of := range [][2]string{{"tiny", "-"}, {"other", "file://" + elsewhere}, {"tiny", "runs/tiny"}, {"tiny", "runs/tiny"}} {
		want += fmt.Sprintf("%s\t%s\ttiny\t0\t%v\t%v\n", of[0], of[1], run.Metrics.Top1, run.Metrics.StandardError)
	}
	if err != nil || string(out) != want {
		t.Errorf("%s\ngives (%v)\n%s\nand not\n%s", command, err, out, want)
	}
}

// scoresOf are the figures that the validation split gives.
func scoresOf(m record.Metrics) record.Metrics {
	return record.Metrics{Top1: m.Top1, Top5: m.Top5, StandardError: m.StandardError, UntrainedTop1: m.UntrainedTop1,
		KNNTop1: m.KNNTop1, UntrainedKNN: m.UntrainedKNN, Depths: m.Depths}
}

// sizesOf are the settings that a teacher without a run needs.
func sizesOf(all []string) (some []string) {
	for _, s := range all {
		if !strings.HasPrefix(s, "CIJEPA_RUN=") && !strings.HasPrefix(s, "CIJEPA_SAVE_EVERY=") && !strings.HasPrefix(s, "CIJEPA_BACKEND=") {
			some = append(some, s)
		}
	}
	return some
}

// listing is the files of a folder and their content.
func listing(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(folder, path)
		found[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestProbeOfAShareGoesOnAfterAStop: a probe of a quarter of the labels that SIGTERM stops ends
// with 143, and started again with the figures of one that was left alone.
func TestProbeOfAShareGoesOnAfterAStop(t *testing.T) {
	t.Parallel()
	slow(t)
	share := []string{"CIJEPA_TEACHER=runs/tiny", "CIJEPA_PROBE_SHARE=0.25", "CIJEPA_PROBE_EPOCHS=60", "CIJEPA_LOG_EVERY=1", "CIJEPA_SEED=5"}
	const name = "tiny-0.25-seed5"
	_, bucket := copied(t)
	if code, log := probed(t, bucket, share...); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	want := figures(t, bucket, "tiny", name)

	_, bucket = copied(t)
	c := child(t, bucket)
	c.Args, c.Env = append(c.Args, "probe"), append([]string{asProgram + "=1", "CIJEPA_BUCKET=" + bucket, "CIJEPA_BACKEND=go:ops_sequential",
		"CIJEPA_CACHE_DIR=" + t.TempDir(), "CIJEPA_SAVE_EVERY=50ms", "HOME=" + t.TempDir()}, share...)
	log := new(output)
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !strings.Contains(log.String(), `"msg":"saved"`) && time.Since(begin) < patience; {
		time.Sleep(time.Millisecond)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, c); code != exitStopped {
		t.Fatalf("stopped: exit %d\n%s", code, log)
	}
	code, text := probed(t, bucket, share...)
	if code != 0 || !strings.Contains(text, "resumed") {
		t.Fatalf("again: exit %d\n%s", code, text)
	}
	got := figures(t, bucket, "tiny", name)
	if d := cmp.Diff(want.Metrics, got.Metrics); d != "" || got.Stats.Attempts != 2 || want.Stats.Attempts != 1 {
		t.Errorf("after a stop the probe ended otherwise, in %d attempts:\n%s", got.Stats.Attempts, d)
	}
	if code, log := probed(t, bucket, append(share, "CIJEPA_PROBE_LR=1")...); code != exitSettings || !strings.Contains(log, "CIJEPA_PROBE_LR") {
		t.Errorf("with another rate: exit %d\n%s", code, log)
	}
}

// TestProbeOfWhatIsNotThere: each fault is one of the settings, exit code 64, and names the
// variable.
func TestProbeOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	slow(t)
	_, bucket := copied(t)
	for _, c := range []struct{ set, want string }{
		{"CIJEPA_TEACHER=runs/other", "there is no runs/other/run.json"},
		{"CIJEPA_TEACHER=runs/tiny@35", "pretrain 36"},
		{"CIJEPA_TEACHER=tiny", "a run, such as runs/NAME"},
		{"CIJEPA_TEACHER=file:///nowhere/teacher.safetensors", "CIJEPA_RUN: needed"},
		{"CIJEPA_TEACHER=file:///nowhere/teacher.safetensors CIJEPA_RUN=x CIJEPA_DATA=tiny CIJEPA_PROBE_BATCH=32", "/nowhere"},
		{"CIJEPA_TEACHER=runs/tiny CIJEPA_WIDTH=32", "of the sizes that are set"},
		{"CIJEPA_TEACHER=runs/tiny CIJEPA_PROBE_SHARE=2", "CIJEPA_PROBE_SHARE=2"},
		{"CIJEPA_TEACHER=runs/tiny CIJEPA_DATA=nothing", "CIJEPA_DATA"},
	} {
		code, log := probed(t, bucket, strings.Fields(c.set)...)
		if code != exitSettings || !strings.Contains(log, c.want) {
			t.Errorf("%s: exit %d\n%s", c.set, code, log)
		}
	}
}
