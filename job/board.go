package job

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

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
	b.Describe(j.cfg.Recipe.hyperparameters())
	b.Resume(at.phase, at.step, at.progress.Table)
}

// hyperparameters are the settings as TensorBoard takes them: numbers, truth values and words, named as they are typed.
func (r Recipe) hyperparameters() map[string]any {
	all := map[string]any{}
	for _, s := range settings(reflect.ValueOf(&r).Elem()) {
		name := strings.ToLower(strings.TrimPrefix(s.variable, Prefix+"_"))
		switch v := s.value; {
		case v.CanInt():
			all[name] = float64(v.Int())
		case v.CanUint():
			all[name] = float64(v.Uint())
		case v.CanFloat():
			all[name] = v.Float()
		case v.Kind() == reflect.Bool:
			all[name] = v.Bool()
		default:
			all[name] = fmt.Sprint(v.Interface())
		}
	}
	return all
}
