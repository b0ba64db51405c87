package settings

import (
	"fmt"
	"regexp"
	"strings"
)

// Environment returns the settings that Load makes of the environment, as lines NAME=VALUE for a
// shell or a sweep. It needs no bucket. It leaves out what is empty by default, what follows from
// other settings, and the sweep, because the line of the sweep is in the other settings.
func Environment() ([]string, error) {
	bucket := BucketURL()
	c, err := Load("", func(c *Config) { c.Bucket = "mem://" })
	if err != nil {
		return nil, err
	}
	follows := map[string]string{
		"DataBucket": c.Bucket, "CacheDir": defaultCacheDir(), "Run": c.defaultRun(), "Sweep": c.Sweep,
	}
	c.Bucket = bucket
	d := Defaults()
	defaults := fields(&d)
	var lines []string
	for i, s := range fields(&c) {
		value := fmt.Sprint(s.value)
		empty := value == "" && fmt.Sprint(defaults[i].value) == ""
		if from, ok := follows[s.field.Name]; empty || ok && value == from {
			continue
		}
		lines = append(lines, shellLine(s.variable, value))
	}
	return lines, nil
}

// RunEnvironment returns what the run of this name was begun with, as lines NAME=VALUE that resume
// it, or begin another one under another name. They hold what run.json has: settings that do not
// change what a run computes, such as the backend, are not among them.
func RunEnvironment(bucket, name string, r RunRecord) []string {
	lines := []string{
		shellLine(Variable("Preset"), r.Preset), shellLine(Variable("Bucket"), bucket), shellLine(Variable("Run"), name),
	}
	for _, s := range fields(&r.Recipe) {
		lines = append(lines, shellLine(s.variable, fmt.Sprint(s.value)))
	}
	return lines
}

// plain matches a word that means itself in a shell.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]*$`)

// shellLine writes an assignment as a shell reads it, and the line of a sweep.
func shellLine(variable, value string) string {
	if !plain.MatchString(value) {
		value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	}
	return variable + "=" + value
}
