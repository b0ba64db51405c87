// Package historytest fills buckets with runs, for tests of what reads them. Its user imports the
// driver of file buckets.
package historytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/predictions"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage"
)

// Bucket is a bucket on disk.
type Bucket struct {
	t    testing.TB
	root string
}

// New returns an empty bucket.
func New(t testing.TB) Bucket { return Bucket{t, t.TempDir()} }

// Path is where an object lies.
func (b Bucket) Path(key string) string { return filepath.Join(b.root, key) }

// Put writes an object.
func (b Bucket) Put(key string, text []byte) {
	b.t.Helper()
	path := b.Path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// PutRecord writes a run.json or a result.json.
func (b Bucket) PutRecord(key string, v any) {
	b.t.Helper()
	text, err := record.Seal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Put(key, text)
}

// PutLines writes an object of metrics/.
func PutLines[T any](b Bucket, key string, lines ...T) {
	b.t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text) // a line each
	for _, l := range lines {
		if err := encoder.Encode(l); err != nil {
			b.t.Fatal(err)
		}
	}
	b.Put(key, text.Bytes())
}

// Open opens the bucket.
func (b Bucket) Open() *storage.Bucket {
	b.t.Helper()
	bucket, err := storage.Open(b.t.Context(), "file://"+b.root, storage.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { bucket.Close() })
	return bucket
}

// Begin is when the runs began.
var Begin = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Value is a pointer to v.
func Value(v float64) *float64 { return &v }

// Table is an L x L table with v in every cell.
func Table(l int, v float64) [][]*float64 {
	cells := make([][]*float64, l)
	for i := range cells {
		for range l {
			cells[i] = append(cells[i], Value(v))
		}
	}
	return cells
}

// Record is a run.json.
func Record(preset string, seed int) record.RunRecord[map[string]any] {
	rows := 2
	if preset == "L200" {
		rows = 0
	}
	return record.RunRecord[map[string]any]{
		Version: record.Version, Preset: preset, Fingerprint: "data", Begun: Begin,
		Recipe: map[string]any{
			"Seed": seed, "Epochs": 200, "IntermediateRows": rows, "Depths": []int{1, 2, 3, 5},
			"AllToLastWeight": 0.5, "LastToLastWeight": nil, "CropScale": []float64{0.3, 1}, "Data": "imagenet-100",
		},
	}
}

// PutFinished writes a whole run on data of the post's size.
func (b Bucket) PutFinished(name, preset string, seed int, top1 float64) {
	b.t.Helper()
	folder := "runs/" + name + "/"
	b.PutRecord(folder+"run.json", Record(preset, seed))
	b.PutRecord(folder+"result.json", result(name, preset, top1))
	PutLines(b, folder+"metrics/attempt-a-1-000001.jsonl", record.Attempt{Time: Begin, Phase: "pretrain"})
	PutLines(b, folder+"metrics/steps-a-1-000001.jsonl",
		record.Step{Phase: "pretrain", Step: 50, Epoch: 0.5, Loss: Value(1), Table: Table(4, 0.9)},
		record.Step{Phase: "pretrain", Step: 100, Epoch: 1, Loss: Value(0.5), Table: Table(4, 0.5)})
}

// result is a result.json.
func result(name, preset string, top1 float64) record.Result[map[string]any] {
	return record.Result[map[string]any]{
		Version: record.Version, Run: name, Preset: preset, PostTop1: Value(70.06),
		Data: record.Data{ValidationSamples: 5000},
		Metrics: record.Metrics{
			Top1: top1, Table: Table(4, 0.5),
			Depths: []record.DepthMetrics{
				{Depth: 1, Top1: 20}, {Depth: 2, Top1: 40}, {Depth: 3, Top1: 60}, {Depth: 5, Top1: top1},
			},
		},
		Stats: record.RunStats{Ended: Begin.Add(3 * time.Hour), PretrainSeconds: 7200},
	}
}

// PutAnswered is PutFinished for a run whose predictions are right for these images, with a hundred
// classes in turn.
func (b Bucket) PutAnswered(name, preset string, seed int, right []bool) {
	b.t.Helper()
	p := predictions.Predictions{Classes: 100, Depths: []int{1, 2, 3, 5}}
	var a classify.Answers
	for i, right := range right {
		label, class, rank := int32(i%100), int32(i%100), int32(0)
		if !right {
			class, rank = (label+1)%100, 1
		}
		p.Labels = append(p.Labels, label)
		a.Append(classify.Answers{Classes: []int32{class}, Ranks: []int32{rank}})
	}
	p.Probe = []classify.Answers{a, a, a, a}
	p.UntrainedProbe = p.Probe
	object, err := p.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	top1 := 100 * float64(a.Top(1)) / float64(len(right))
	b.PutFinished(name, preset, seed, top1)
	r := result(name, preset, top1)
	r.Data = record.Data{Fingerprint: "data", Classes: 100, ValidationSamples: len(right)}
	r.Predictions = &record.Predictions{File: predictions.File, Size: int64(len(object)), SHA256: fmt.Sprintf("%x", sha256.Sum256(object))}
	b.PutRecord("runs/"+name+"/result.json", r)
	b.Put("runs/"+name+"/"+predictions.File, object)
}

// PutPictured is PutFinished with pictures of two validation images, a shirt and one without a
// label, at two depths, with two neighbours each. Their tiles have one colour each.
func (b Bucket) PutPictured(name, preset string, seed int, top1 float64) {
	b.t.Helper()
	b.PutFinished(name, preset, seed, top1)
	components, neighbours := b.putSheet(name, record.ComponentsFile, 5), b.putSheet(name, record.NeighboursFile, 3)
	of := func(share float64) record.Components {
		return record.Components{Shares: []float64{share, 0.2, 0.1}, Follows: []string{record.Brightness, record.Centre, ""}, R: []float64{0.9, 0.4, 0}}
	}
	r := result(name, preset, top1)
	r.Pictures = &record.Pictures{
		Split: "val", Components: components, Neighbours: &neighbours,
		Images: []record.PicturedImage{
			{Sample: 3, Class: "shirt", Neighbours: []record.Neighbour{{Sample: 7, Class: "shirt", Similarity: 0.99}, {Sample: 8, Class: "coat", Similarity: 0.9}}},
			{Sample: 9, Neighbours: []record.Neighbour{{Sample: 1, Similarity: 0.8}, {Sample: 2, Similarity: 0.7}}},
		},
		Depths: []record.PicturedDepth{{Depth: 1, Teacher: of(0.3), Untrained: of(0.6)}, {Depth: 5, Teacher: of(0.4), Untrained: of(0.6)}},
	}
	b.PutRecord("runs/"+name+"/result.json", r)
}

// putSheet writes a sheet of two rows.
func (b Bucket) putSheet(run, file string, columns int) record.Sheet {
	b.t.Helper()
	s := record.Sheet{File: file, Tile: 32, Gap: 16, Top: 16, Width: 16 + columns*48, Height: 16 + 2*48}
	picture := image.NewRGBA(image.Rect(0, 0, s.Width, s.Height))
	for row := range 2 {
		for column := range columns {
			x, y := s.At(row, column)
			at := image.Rect(x, y, x+s.Tile, y+s.Tile)
			draw.Draw(picture, at, image.NewUniform(color.RGBA{uint8(50 * column), uint8(200 * row), 100, 255}), image.Point{}, draw.Src)
		}
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, picture, nil); err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256(data.Bytes())
	s.SHA256 = hex.EncodeToString(sum[:])
	b.Put("runs/"+run+"/"+file, data.Bytes())
	return s
}

// PutInterrupted writes a run in progress under the name open: its first attempt was stopped, its
// second was killed at update 60, and its third began from 40 and reached the probe. One line is
// damaged, and one alarm was raised twice over the same update.
func (b Bucket) PutInterrupted(preset string) {
	b.t.Helper()
	b.PutRecord("runs/open/run.json", Record(preset, 3))
	metrics := "runs/open/metrics/"
	attempt := func(file string, hour int, from, step int64) {
		PutLines(b, metrics+"attempt-"+file+".jsonl",
			record.Attempt{Time: Begin.Add(time.Duration(hour) * time.Hour), Phase: "pretrain", From: from, Step: step})
	}
	attempt("first-1-000001", 0, 0, 0)
	attempt("first-1-000002", 1, 0, 30)
	attempt("a-second-2-000001", 2, 30, 30)
	attempt("b-third-3-000001", 3, 40, 40)
	PutLines(b, metrics+"steps-first-1-000001.jsonl",
		record.Step{Phase: "pretrain", Step: 20, Loss: Value(1)}, record.Step{Phase: "pretrain", Step: 30, Loss: Value(2)})
	PutLines(b, metrics+"steps-a-second-2-000001.jsonl", record.Step{Phase: "pretrain", Step: 60, Loss: Value(3)})
	b.Put(metrics+"steps-b-third-3-000001.jsonl", []byte(
		`{"phase":"pretrain","step":60,"loss":4,"epoch":0.6}`+"\n"+`{"step":`+"\n"+`{"phase":"probe","step":7}`+"\n"))
	depth := 3
	alarm := record.Alarm{Step: 60, Alarm: record.AlarmCollapse, Depth: &depth, Text: "Features of depth 3 are all alike."}
	PutLines(b, metrics+"alarms-a-second-2-000001.jsonl", alarm)
	PutLines(b, metrics+"alarms-b-third-3-000001.jsonl", alarm, record.Alarm{Step: 70, Alarm: record.AlarmTable})
}
