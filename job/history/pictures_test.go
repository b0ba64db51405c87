package history

import (
	"os"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

// TestDamagedPicturesHideNoRun: a sheet that is gone, cut, changed or too large, and pictures that
// no run writes, are problems of a run that is read all the same, and of no other one.
func TestDamagedPicturesHideNoRun(t *testing.T) {
	f := historytest.New(t)
	edit := func(run string, edit func(p *record.Pictures)) {
		editResult(t, f, run, func(r *record.Result[map[string]any]) { edit(r.Pictures) })
	}
	file := func(run, name string, edit func(data []byte) []byte) {
		t.Helper()
		key := "runs/" + run + "/" + name
		data, err := os.ReadFile(f.Path(key))
		if err != nil {
			t.Fatal(err)
		}
		f.Put(key, edit(data))
	}
	cases := map[string]struct {
		damage func(run string)
		want   string
	}{
		"gone": {func(run string) { _ = os.Remove(f.Path("runs/" + run + "/neighbours.jpg")) }, "neighbours.jpg is not there"},
		"both": {func(run string) {
			_ = os.Remove(f.Path("runs/" + run + "/neighbours.jpg"))
			_ = os.Remove(f.Path("runs/" + run + "/components.jpg"))
		}, "components.jpg is not there"},
		"cut":        {func(run string) { file(run, "components.jpg", func(d []byte) []byte { return d[:len(d)/2] }) }, "components.jpg is damaged: its sha256"},
		"other":      {func(run string) { file(run, "components.jpg", func([]byte) []byte { return []byte("<svg/>") }) }, "components.jpg is damaged"},
		"huge":       {func(run string) { f.Put("runs/"+run+"/components.jpg", make([]byte, maxSheet+1)) }, "it has 1048577 bytes"},
		"elsewhere":  {func(run string) { edit(run, func(p *record.Pictures) { p.Components.File = "../a/components.jpg" }) }, "does not hold"},
		"no-images":  {func(run string) { edit(run, func(p *record.Pictures) { p.Images = nil }) }, "they show 0 images"},
		"many":       {func(run string) { edit(run, func(p *record.Pictures) { p.Depths = make([]record.PicturedDepth, 65) }) }, "they show 65 depths"},
		"outside":    {func(run string) { edit(run, func(p *record.Pictures) { p.Depths = append(p.Depths, p.Depths[0]) }) }, "does not hold 2 x 7 tiles"},
		"uneven":     {func(run string) { edit(run, func(p *record.Pictures) { p.Images[1].Neighbours = nil }) }, "one image has 2 neighbours and another 0"},
		"unsheeted":  {func(run string) { edit(run, func(p *record.Pictures) { p.Neighbours = nil }) }, "an image has 2 neighbours"},
		"share":      {func(run string) { edit(run, func(p *record.Pictures) { p.Depths[0].Teacher.Shares[0] = -1 }) }, "-1 is no share"},
		"r":          {func(run string) { edit(run, func(p *record.Pictures) { p.Depths[0].Teacher.R[0] = 2 }) }, "2 is no correlation"},
		"components": {func(run string) { edit(run, func(p *record.Pictures) { p.Depths[0].Teacher.R = make([]float64, 4) }) }, "more than three components"},
		"text": {func(run string) {
			edit(run, func(p *record.Pictures) { p.Images[0].Class = strings.Repeat("x", maxText+1) })
		}, "a text has 4097 bytes"},
		"size": {func(run string) { edit(run, func(p *record.Pictures) { p.Components.Width++ }) }, "it is no JPEG file of 257 x 112"},
	}
	f.PutPictured("whole", "L200", 0, 50)
	f.PutFinished("without", "L200", 0, 50)
	for name, c := range cases {
		f.PutPictured(name, "L200", 0, 50)
		c.damage(name)
	}
	runs, _, unreadable, err := ReadAll(t.Context(), f.Open())
	if err != nil || len(unreadable) > 0 || len(runs) != len(cases)+2 {
		t.Fatalf("%d runs, unreadable %v: %v", len(runs), unreadable, err)
	}
	for _, r := range runs {
		if r.Result == nil || r.Result.Metrics.Top1 != 50 {
			t.Errorf("%s is not read", r.Name)
		}
		c, damaged := cases[r.Name]
		switch problems := strings.Join(r.Problems, "; "); {
		case damaged && (r.Pictures != nil || len(r.Problems) != 1 || !strings.Contains(problems, c.want)):
			t.Errorf("%s: problems %q, want %q; pictures %v", r.Name, problems, c.want, r.Pictures != nil)
		case !damaged && (problems != "" || (r.Pictures != nil) != (r.Name == "whole")):
			t.Errorf("%s: problems %q, pictures %v", r.Name, problems, r.Pictures != nil)
		}
	}
}
