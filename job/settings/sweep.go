package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	sweepVariable = Prefix + "_SWEEP"
	indexVariable = "JOB_COMPLETION_INDEX" // of a pod of an Indexed Job
)

// assignment is one word of a line: NAME=VALUE.
type assignment struct{ variable, value string }

// sweepLine is one line of a sweep: the settings in which its run differs from the environment.
type sweepLine struct {
	number int // in the file, from 1
	words  []assignment
}

// SweepEnvironment returns the variables with which Load reads line index, from 0, of a sweep.
func SweepEnvironment(path string, index int) []string {
	return []string{sweepVariable + "=" + path, fmt.Sprintf("%s=%d", indexVariable, index)}
}

// LoadSweep reads every line of a sweep as Load reads one, and returns them in order. It returns
// the faults of all lines in one *Error. Two lines that name the same run are a fault.
func LoadSweep(path, preset string, adjust func(*Config)) ([]Config, error) {
	_, configs, err := loadLines(path, preset, adjust)
	return configs, err
}

// loadLine checks all lines of a sweep, lays the one of the index over the environment of this
// process, and returns it.
func loadLine(path, index, preset string, adjust func(*Config)) (Config, error) {
	lines, configs, err := loadLines(path, preset, adjust)
	if err != nil {
		return Config{}, err
	}
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(configs) {
		return Config{}, NewError("Sweep", path, fmt.Sprintf("needs %s from 0 to %d, as an Indexed Job sets it; it is %q. cijepa sweep %s runs all lines",
			indexVariable, len(configs)-1, index, path))
	}
	for _, w := range lines[i].words {
		if err := os.Setenv(w.variable, w.value); err != nil {
			return Config{}, err
		}
	}
	return configs[i], nil
}

// loadLines is LoadSweep, with the lines.
func loadLines(path, preset string, adjust func(*Config)) ([]sweepLine, []Config, error) {
	lines, err := readSweep(path)
	if err != nil {
		return nil, nil, err
	}
	var configs []Config
	var faulty [][]Fault // by line
	count := map[Fault]int{}
	first := map[string]int{}
	for _, l := range lines {
		c, err := l.load(preset, adjust)
		own := &Error{}
		errors.As(err, &own)
		if n, ok := first[c.Run]; ok {
			own.Faults = append(own.Faults, Fault{Variable("Run"), c.Run,
				fmt.Sprintf("the run of line %d has this name: give each line another seed or a name of its own", n)})
		} else {
			first[c.Run] = l.number
		}
		for _, f := range own.Faults {
			count[f]++
		}
		configs, faulty = append(configs, c), append(faulty, own.Faults)
	}
	faults := &Error{}
	for i, l := range lines {
		for _, f := range faulty[i] {
			if everywhere := count[f] == len(lines); everywhere && i > 0 {
				continue // it is the environment's, and told
			} else if !everywhere {
				f.Variable = fmt.Sprintf("%s:%d: %s", path, l.number, f.Variable)
			}
			faults.Faults = append(faults.Faults, f)
		}
	}
	return lines, configs, faults.OrNil()
}

// load reads the environment with the line laid over it, and puts the environment back.
func (l sweepLine) load(preset string, adjust func(*Config)) (Config, error) {
	for _, w := range l.words {
		was, set := rawValue(w.variable)
		if err := os.Setenv(w.variable, w.value); err != nil {
			return Config{}, err
		}
		defer func() {
			if os.Unsetenv(w.variable); set {
				os.Setenv(w.variable, was)
			}
		}()
	}
	return load(preset, adjust)
}

// readSweep reads the lines of a file that are not empty and not comments.
func readSweep(path string) ([]sweepLine, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, NewError("Sweep", path, err.Error())
	}
	faults := &Error{}
	var lines []sweepLine
	for i, line := range strings.Split(string(text), "\n") {
		words, err := splitWords(strings.TrimSuffix(line, "\r"))
		l := sweepLine{number: i + 1}
		for _, word := range words {
			variable, value, ok := strings.Cut(word, "=")
			switch {
			case !ok || !strings.HasPrefix(variable, Prefix+"_") || variable == sweepVariable:
				err = fmt.Errorf("%q is not a setting, such as %s_SEED=1", word, Prefix)
			case slices.ContainsFunc(l.words, func(w assignment) bool { return w.variable == variable }):
				err = fmt.Errorf("%s is set twice", variable)
			}
			l.words = append(l.words, assignment{variable, value})
		}
		if err != nil {
			faults.Faults = append(faults.Faults, Fault{Variable: fmt.Sprintf("%s:%d", path, l.number), Want: err.Error()})
		}
		if len(words) > 0 {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 && len(faults.Faults) == 0 {
		return nil, NewError("Sweep", path, "a file with a line of settings for each run")
	}
	return lines, faults.OrNil()
}

// splitWords splits a line into words as a shell does: at spaces, but for those in quotes or behind
// a backslash. A # that begins a word begins a comment. Nothing is expanded.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				word.WriteRune('\\') // within double quotes a backslash stands for itself before other characters
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0:
			if r == quote {
				quote = 0
				continue
			}
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		case r == '#' && !inWord:
			return words, nil
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return words, errors.New("a quote or a backslash is left open")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
