package report

import (
	"strings"

	"github.com/cijepa/cijepa/job/history"
)

// HandOn is the command that puts the teacher of a finished run on the Hugging Face hub; empty for
// any other run.
func (r *Report) HandOn(run *history.Run) string {
	if run.Result == nil {
		return ""
	}
	command := "cijepa export runs/" + run.Name + " && hf upload OWNER/NAME " + run.Name
	if r.Bucket != "" {
		command = "CIJEPA_BUCKET='" + strings.ReplaceAll(r.Bucket, "'", `'\''`) + "' " + command
	}
	return command
}
