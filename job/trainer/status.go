package trainer

import (
	"strconv"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// pretrainShare is how much of a run pretraining counts for, as Trainer is told. The probes
// take a few percent of the operations.
const pretrainShare = 0.95

// Underway is how far a run is: by a line of its loop, of total updates of the phase, for which
// left is expected. eval is the newest evaluation, or nil.
func Underway(line record.Step, total int64, left time.Duration, eval *record.Eval, alarms int) Status {
	done := float64(line.Step) / float64(total)
	s := Status{Percent: int(100 * (pretrainShare + (1-pretrainShare)*done)), Remaining: left}
	if line.Phase == record.Pretraining {
		s.Percent = int(100 * pretrainShare * done)
		if line.Step < total {
			s.Remaining += time.Duration(float64(left) / (1 - done) * (1 - pretrainShare) / pretrainShare)
		}
	}
	s.Percent = min(s.Percent, 99) // the result is not there yet
	s.Metrics = []Metric{
		{Name: "phase", Value: line.Phase},
		metric("epoch", &line.Epoch), metric("loss", line.Loss), metric("images_per_second", &line.ImagesPerSecond),
		metric("mfu", line.MFU), metric("cost", line.Cost),
	}
	if eval != nil {
		s.Metrics = append(s.Metrics, metric("eval_probe_top1", &eval.ProbeTop1), metric("eval_knn_top1", eval.KNNTop1))
	}
	if alarms > 0 {
		s.Metrics = append(s.Metrics, Metric{Name: "alarms", Value: strconv.Itoa(alarms)})
	}
	return s
}

// Finished is a run with its result.
func Finished(m record.Metrics) Status {
	figure := metric("loss", m.Loss)
	if m.Scored() {
		figure = metric("top1", &m.Top1)
	}
	return Status{Percent: 100, Metrics: []Metric{figure}}
}

// metric writes a number; one that is not known is left empty.
func metric(name string, value *float64) Metric {
	if value == nil {
		return Metric{}
	}
	return Metric{Name: name, Value: strconv.FormatFloat(*value, 'g', 6, 64)}
}
