package settings

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// TeacherName names a frozen encoder: that of a run of CIJEPA_BUCKET, or a file. The zero value
// names none.
type TeacherName struct {
	Run  string
	Step int64  // updates of pretraining, of a checkpoint that is kept; 0: the run's end
	URL  string // of a safetensors file, if Run is empty
}

// Decode implements envconfig.Decoder.
func (n *TeacherName) Decode(s string) error {
	errForm := errors.New("a run, such as runs/NAME or runs/NAME@STEP, or the URL of a file, such as s3://bucket/folder/teacher.safetensors")
	if s == "" {
		*n = TeacherName{}
		return nil
	}
	if run, ok := strings.CutPrefix(s, "runs/"); ok {
		name, step, atStep := strings.Cut(strings.TrimSuffix(run, "/"), "@")
		named := TeacherName{Run: name}
		var err error
		if atStep {
			named.Step, err = strconv.ParseInt(step, 10, 64)
		}
		if err != nil || named.Step < 0 || atStep && named.Step == 0 || !runName.MatchString(name) {
			return errForm
		}
		*n = named
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || strings.Trim(u.Path, "/") == "" {
		return errForm
	}
	*n = TeacherName{URL: s}
	return nil
}

// String writes the name as Decode reads it.
func (n TeacherName) String() string {
	switch {
	case n.Run == "":
		return n.URL
	case n.Step > 0:
		return fmt.Sprintf("runs/%s@%d", n.Run, n.Step)
	}
	return "runs/" + n.Run
}

// Place is the name without the step and without the parameters of a URL, which may be secrets.
func (n TeacherName) Place() string {
	if n.Run != "" {
		return "runs/" + n.Run
	}
	place, _, _ := strings.Cut(n.URL, "?")
	return place
}

// LoadProbe is Load for a probe of a teacher. Of a teacher that is a run, stored reads run.json:
// its recipe and preset take the place of CIJEPA_PRESET, and the environment is read over them.
// Run, the folder that the probe is kept in, is the teacher's unless it is set. name is that of the
// probe: the data, and what of it is not the teacher's.
func LoadProbe(stored func(Config) (RunRecord, error)) (c Config, name string, err error) {
	c, err = Load("", func(c *Config) { c.frozen = true })
	for _, field := range []string{"Bucket", "Run", "Teacher"} { // other faults may be of settings that the run gives
		if faults, ok := errors.AsType[*Error](err); ok && slices.ContainsFunc(faults.Faults, func(f Fault) bool { return f.Variable == Variable(field) }) {
			return c, "", err
		}
	}
	teacher := c.Teacher
	if teacher == (TeacherName{}) {
		teacher.Run = c.Run
	}
	seed := c.Seed
	_, named := rawValue(Variable("Run"))
	switch {
	case teacher.Run != "":
		record, failed := stored(Config{Bucket: c.Bucket, RetryTimeout: c.RetryTimeout, Teacher: teacher})
		if failed != nil {
			return c, "", failed
		}
		c, err = load("", func(c *Config) { c.Recipe, c.frozen = record.Recipe, true }) // Load has laid the line of a sweep over the environment
		c.Preset, seed = record.Preset, record.Recipe.Seed
		if !named {
			c.Run = teacher.Run
		}
	case !named:
		return c, "", NewError("Run", "", "needed where the teacher is a file: the name of the folder that the probe is kept in")
	}
	c.Teacher = teacher
	name = strings.ReplaceAll(c.Data, "/", "-")
	if name == "" {
		name = "data"
	}
	if c.ProbeShare > 0 && c.ProbeShare < 1 {
		name += "-" + strconv.FormatFloat(c.ProbeShare, 'f', -1, 64)
	}
	if c.Seed != seed {
		name += fmt.Sprintf("-seed%d", c.Seed)
	}
	if teacher.Step > 0 {
		name += fmt.Sprintf("-step%d", teacher.Step)
	}
	return c, name, err
}

// BucketURL is Config.Bucket of the environment, for a command that needs no other setting.
func BucketURL() string {
	url, _ := rawValue(Variable("Bucket"))
	return url
}
