package job

import (
	"time"

	"github.com/cijepa/cijepa/job/alarm"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
)

// newJudge begins to judge the lines of the journal.
func (j *Job) newJudge(p *Progress, schedule model.Schedule, perEpoch int64) alarm.Judge {
	g := alarm.New(j.cfg.Depths, j.cfg.IntermediateRows, j.cfg.TargetNorm, schedule.Warmup, perEpoch, &p.Alarms)
	j.journal.follow(func(line any) { j.raise(g.Line(line)) })
	return g
}

// raise tells of alarms: in the log, and in a journal that any reader of the bucket sees.
func (j *Job) raise(found []record.Alarm) {
	for _, a := range found {
		a.Time = time.Now().UTC()
		j.log.Warn("alarm", "alarm", a.Alarm, "step", a.Step, "value", a.Value, "limit", a.Limit, "text", a.Text)
		if err := j.journal.add(record.Alarms, a); err != nil {
			j.log.Error("an alarm is not on record", "error", err)
		}
	}
}
