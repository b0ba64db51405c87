package board

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"image"
	"image/png"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cijepa/cijepa/job/record"
)

func at(v float64) *float64 { return &v }

// seen is one event as a reader finds it: what stands in its fields, the first of a number.
type seen struct {
	step    int64
	version string
	start   bool
	tag     string
	value   float64
	data    []byte // of the summary's value
}

// read takes an event file apart, and holds it to TFRecord's checksums.
func read(t *testing.T, file []byte) (events []seen) {
	t.Helper()
	table := crc32.MakeTable(crc32.Castagnoli)
	unmask := func(masked uint32) uint32 { masked -= 0xa282ead8; return masked>>17 | masked<<15 }
	for len(file) > 0 {
		if len(file) < 16 {
			t.Fatalf("%d bytes at the end of a file", len(file))
		}
		n := binary.LittleEndian.Uint64(file)
		if unmask(binary.LittleEndian.Uint32(file[8:])) != crc32.Checksum(file[:8], table) {
			t.Fatal("the checksum of a length is wrong")
		}
		body := file[12 : 12+n]
		if unmask(binary.LittleEndian.Uint32(file[12+n:])) != crc32.Checksum(body, table) {
			t.Fatal("the checksum of an event is wrong")
		}
		file = file[16+n:]
		var e seen
		fields(t, body, func(number protowire.Number, raw []byte, value uint64) {
			switch number {
			case 2:
				e.step = int64(value)
			case 3:
				e.version = string(raw)
			case 5:
				fields(t, raw, func(_ protowire.Number, raw []byte, _ uint64) {
					e.data = raw
					fields(t, raw, func(number protowire.Number, raw []byte, value uint64) {
						switch number {
						case 1:
							e.tag = string(raw)
						case 2:
							e.value = float64(math.Float32frombits(uint32(value)))
						}
					})
				})
			case 7:
				e.start = true
			}
		})
		events = append(events, e)
	}
	return events
}

func fields(t *testing.T, b []byte, f func(number protowire.Number, raw []byte, value uint64)) {
	t.Helper()
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		var raw []byte
		var value uint64
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			value, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			value = uint64(v)
		default:
			raw, n = protowire.ConsumeBytes(b)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		f(number, raw, value)
		b = b[n:]
	}
}

func step(n int64, loss float64) record.Step {
	return record.Step{Phase: record.Pretraining, Step: n, Loss: at(loss), Table: [][]*float64{{at(.9), nil}, {at(.8), at(.7)}}}
}

func unwritten(t *testing.T, b *Board) File {
	t.Helper()
	f, err := b.Unwritten()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestEventsAreWrittenOnce: each flush is a file that begins with the version, and the first of an
// attempt voids what follows the updates that it took over. Events that could not be written are in
// the next file.
func TestEventsAreWrittenOnce(t *testing.T) {
	b := &Board{}
	b.Resume(20, 0, nil)
	b.Line(step(25, .5))
	lost := unwritten(t, b)
	b.Line(step(30, math.Pi))
	f := unwritten(t, b)
	if !strings.HasPrefix(f.Name, "events.out.tfevents.") || f.Name != lost.Name {
		t.Errorf("file %q, before %q", f.Name, lost.Name)
	}
	b.Line(step(35, .3))
	b.Written(f)
	next := unwritten(t, b)
	b.Written(next)
	if left := unwritten(t, b); left.Data != nil {
		t.Errorf("%d bytes after all is written", len(left.Data))
	}

	first := read(t, f.Data)
	if first[0].version != "brain.Event:2" || !first[1].start || first[1].step != 21 {
		t.Errorf("the first file begins with %+v", first[:2])
	}
	losses := func(events []seen) (all []seen) {
		for _, e := range events {
			if e.tag == "1_train/loss" {
				all = append(all, seen{step: e.step, value: e.value})
			}
		}
		return all
	}
	if got, want := losses(first), []seen{{step: 25, value: .5}, {step: 30, value: float64(float32(math.Pi))}}; !reflect.DeepEqual(got, want) {
		t.Errorf("losses %+v, want %+v", got, want)
	}
	second := read(t, next.Data)
	if second[0].version == "" || second[1].start || len(losses(second)) != 1 {
		t.Errorf("the second file: %+v", second)
	}
}

// TestEveryKnownNumberHasItsTag; the others are left out.
func TestEveryKnownNumberHasItsTag(t *testing.T) {
	b := &Board{}
	b.Line(record.Step{Phase: record.Pretraining, Step: 1, Table: [][]*float64{{nil}}})
	b.Line(record.Step{Phase: record.Probing, Step: 1, Loss: at(2), Bad: 3})
	b.Line(record.Health{Step: 1, Depths: []int{3, 11}, Std: []*float64{at(.5), nil}, Rank: []*float64{at(7), at(8)}, RMS: []*float64{nil, nil}})
	b.Line(record.Eval{Step: 1, ProbeTop1: 40})
	b.Line(record.Alarm{Step: 1, Alarm: record.AlarmCollapse, Text: "features of depth 3 are the same"})
	b.Describe("r", []int{3, 11}, map[string]any{"seed": 3.})
	b.Finish(record.Metrics{Updates: 9, Top1: 70, KNNTop1: at(60), UntrainedKNN: at(20), Depths: []record.DepthMetrics{{Depth: 3, Top1: 50}, {Depth: 11, Top1: 70}}})
	want := []string{"1_train/learning_rate", "z_ops/images_per_second", "z_ops/data_wait", "1_train/ema_momentum",
		"3_probe/loss", "3_probe/learning_rate", "3_probe/images_per_second", "3_probe/data_wait", "3_probe/bad_samples",
		"feature_std/depth_03", "effective_rank/depth_03", "effective_rank/depth_11", "2_eval/probe_top1", "alarms/collapse",
		"_hparams_/session_start_info", "result/probe_top1", "result/probe_top5", "result/untrained_probe_top1", "result/knn_top1", "result/untrained_knn_top1",
		"profile/probe_top1_by_depth", "profile/untrained_probe_top1_by_depth", "profile/probe_top1_by_depth", "profile/untrained_probe_top1_by_depth",
		"_hparams_/session_end_info"}
	var tags []string
	for _, e := range read(t, unwritten(t, b).Data)[2:] {
		tags = append(tags, e.tag)
	}
	if !slices.Equal(tags, want) {
		t.Errorf("%q, want %q", tags, want)
	}
}

// TestStepsRiseThroughARun: those of the probe count on from pretraining, and its end stands behind
// both, also in an attempt that begins there. So the first event of an attempt voids what an
// earlier one wrote of the same updates, and nothing else.
func TestStepsRiseThroughARun(t *testing.T) {
	steps := func(b *Board) (all []int64) {
		for _, e := range read(t, unwritten(t, b).Data)[1:] {
			if e.start || e.tag == "1_train/loss" || e.tag == "3_probe/loss" || e.tag == "result/probe_top1" {
				all = append(all, e.step)
			}
		}
		return all
	}
	end := record.Metrics{Updates: 40, Top1: 70, Depths: []record.DepthMetrics{{Depth: 3, Top1: 70}}}
	b := &Board{}
	b.Line(step(20, .5))
	b.Line(step(40, .4))
	b.Line(record.Step{Phase: record.Probing, Step: 5, Loss: at(2)})
	b.Line(record.Step{Phase: record.Probing, Step: 10, Loss: at(1)})
	b.Finish(end)
	if got, want := steps(b), []int64{1, 20, 40, 45, 50, 51}; !slices.Equal(got, want) {
		t.Errorf("the first attempt: steps %v, want %v", got, want)
	}
	for probed, want := range map[int64][]int64{5: {46, 50, 51}, 10: {51, 51}} {
		b := &Board{}
		b.Resume(40, probed, nil)
		if probed < 10 {
			b.Line(record.Step{Phase: record.Probing, Step: 10, Loss: at(1)})
		}
		b.Finish(end)
		if got := steps(b); !slices.Equal(got, want) {
			t.Errorf("an attempt from update %d of the probe: steps %v, want %v", probed, got, want)
		}
	}
}

// TestLossAndEvaluationComeFirst of the groups that TensorBoard sorts by name, and the machine
// last.
func TestLossAndEvaluationComeFirst(t *testing.T) {
	b := &Board{}
	b.Line(record.Step{Phase: record.Pretraining, Step: 1, Loss: at(2), Bad: 3, Skipped: 1, MFU: at(.3), Cost: at(2), DeviceMemory: at(1e9), Table: [][]*float64{{at(.5)}}})
	b.Line(record.Health{Step: 1, Depths: []int{3}, Std: []*float64{at(.5)}, Rank: []*float64{at(7)}, RMS: []*float64{at(2)}})
	b.Line(record.Eval{Step: 1, ProbeTop1: 40, KNNTop1: at(30)})
	b.Finish(record.Metrics{Depths: []record.DepthMetrics{{Depth: 3, Top1: 50}}})
	groups := map[string]bool{}
	b.Line(record.Step{Phase: record.Probing, Step: 1, Loss: at(2)})
	for _, e := range read(t, unwritten(t, b).Data) {
		if group, _, ok := strings.Cut(e.tag, "/"); ok && !strings.HasPrefix(group, "_") {
			groups[group] = true
		}
	}
	want := []string{"1_train", "2_eval", "3_probe", "effective_rank", "error", "feature_std", "profile", "residual_rms", "result", "z_ops"}
	if got := slices.Sorted(maps.Keys(groups)); !slices.Equal(got, want) {
		t.Errorf("groups %q, want %q", got, want)
	}
}

// blank draws a picture without anything.
func blank(_ [][]*float64) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 30, 20)))
	return b.Bytes(), err
}

// TestTableIsDrawnOnceAnEpoch. A failure costs this picture and nothing else.
func TestTableIsDrawnOnceAnEpoch(t *testing.T) {
	b := &Board{draw: blank}
	b.Line(record.Health{Step: 0}) // there is no table yet
	b.Line(step(5, .5))
	b.Line(record.Health{Step: 10})
	var pictures []seen
	for _, e := range read(t, unwritten(t, b).Data) {
		if e.tag == "error/table" {
			pictures = append(pictures, e)
		}
	}
	if len(pictures) != 1 || pictures[0].step != 10 || !bytes.Contains(pictures[0].data, []byte("\x89PNG")) {
		t.Errorf("%d pictures", len(pictures))
	}

	b = &Board{draw: blank}
	b.Resume(15, 0, step(15, .5).Table)
	b.Line(record.Health{Step: 20}) // before the first line: the table is the one of the checkpoint
	if all, text := read(t, unwritten(t, b).Data), []byte("\x89PNG"); len(all) != 3 || all[2].step != 20 || !bytes.Contains(all[2].data, text) {
		t.Errorf("after a restart: %d events", len(all))
	}

	b = &Board{draw: func([][]*float64) ([]byte, error) { return nil, errors.New("no ink") }}
	b.Line(step(5, .5))
	b.Line(record.Health{Step: 10})
	f, err := b.Unwritten()
	if err == nil || !strings.Contains(err.Error(), "step 10: no ink") || f.Data == nil {
		t.Errorf("%d bytes, %v", len(f.Data), err)
	}
	if _, err := b.Unwritten(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// TestPicturesAreVoidedWithTheirRun: a picture and its words stand behind the updates of the run,
// so an attempt that draws them again voids those of the one before.
func TestPicturesAreVoidedWithTheirRun(t *testing.T) {
	b := &Board{}
	b.Resume(30, 9, nil)
	b.Picture("components.jpg", "a shirt", 30, 20, []byte("\xff\xd8JPEG"))
	var tags []string
	for _, e := range read(t, unwritten(t, b).Data) {
		if e.tag == "" {
			if e.start && e.step != 40 {
				t.Errorf("the attempt voids what follows step %d", e.step)
			}
			continue
		}
		if tags = append(tags, e.tag); e.step != 40 || !bytes.Contains(e.data, []byte("\xff\xd8JPEG")) && !bytes.Contains(e.data, []byte("a shirt")) {
			t.Errorf("%s at %d: %q", e.tag, e.step, e.data)
		}
	}
	if want := []string{"pictures/components", "pictures/components_in_words"}; !slices.Equal(tags, want) {
		t.Errorf("tags %q, want %q", tags, want)
	}
}

// TestTensorBoardReads lets TensorBoard's own loader read three attempts, of which the second
// computes updates again, and the third updates of the probe. It needs a Python with the package
// tensorboard in CIJEPA_TENSORBOARD.
func TestTensorBoardReads(t *testing.T) {
	python := os.Getenv("CIJEPA_TENSORBOARD")
	if python == "" {
		t.Skip("CIJEPA_TENSORBOARD names no Python")
	}
	folder := t.TempDir()
	write := func(b *Board, second string, n string) {
		f := unwritten(t, b)
		// As storage names it; the tests' attempts begin in one second.
		path := filepath.Join(folder, strings.NewReplacer(".v2", "-"+n+".v2", ".tfevents.1", ".tfevents."+second).Replace(f.Name))
		if err := os.WriteFile(path, f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
		b.Written(f)
	}
	killed := &Board{draw: blank}
	killed.Line(step(10, .9))
	write(killed, "1", "a-000001")
	killed.Line(step(20, .8))
	killed.Line(step(30, .7))
	write(killed, "1", "a-000002")
	again := &Board{draw: blank}
	again.Resume(15, 0, step(15, .8).Table)
	again.Line(step(20, .6))
	again.Line(record.Health{Step: 20})
	again.Line(record.Alarm{Step: 20, Alarm: record.AlarmTable, Text: "in **bold**"})
	write(again, "2", "b-000001")
	again.Line(step(30, .5))
	again.Line(record.Step{Phase: record.Probing, Step: 10, Loss: at(2)})
	again.Line(record.Step{Phase: record.Probing, Step: 20, Loss: at(1)})
	again.Finish(record.Metrics{Top1: 60, Depths: []record.DepthMetrics{{Depth: 3, Top1: 60}}})
	write(again, "2", "b-000002")
	third := &Board{draw: blank} // takes half of the probe again, and nothing of pretraining
	third.Resume(30, 10, nil)
	third.Line(record.Step{Phase: record.Probing, Step: 20, Loss: at(.5)})
	third.Finish(record.Metrics{Top1: 70, Depths: []record.DepthMetrics{{Depth: 3, Top1: 70}}})
	write(third, "3", "c-000001")

	out, err := exec.Command(python, "-c", `
import json, sys
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util
acc = event_accumulator.EventAccumulator(sys.argv[1])
acc.Reload()
print(json.dumps([[[e.step, round(e.value, 4)] for e in acc.Scalars(tag)] for tag in ("1_train/loss", "3_probe/loss", "result/probe_top1")] + [
	[[e.step, e.width, e.height] for e in acc.Images("error/table")],
	[[e.step, tensor_util.make_ndarray(e.tensor_proto).item().decode()] for e in acc.Tensors("alarms/table")]]))`, folder).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v: %s", err, exit.Stderr)
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_ = json.Unmarshal([]byte(`[[[10, 0.9], [20, 0.6], [30, 0.5]], [[40, 2], [50, 0.5]], [[51, 70]], [[20, 30, 20]], [[20, "in **bold**"]]]`), &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("TensorBoard reads %v, want %v", got, want)
	}
}
