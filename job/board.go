package job

import (
	"bytes"

	"github.com/cijepa/cijepa/job/report"
)

// openBoard tells TensorBoard's files what the run is and where this attempt takes it up.
func (j *Job) openBoard(at position) {
	b := &j.journal.board
	b.Draw = func(table [][]*float64) ([]byte, error) {
		var png bytes.Buffer
		err := report.TablePicture(&png, j.cfg.Depths, table, j.cfg.Run)
		return png.Bytes(), err
	}
	b.Describe(j.cfg.Recipe.Hyperparameters())
	b.Resume(at.phase, at.step, at.progress.Table)
}
