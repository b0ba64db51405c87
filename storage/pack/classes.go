package pack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// ReadClasses reads a class file: one class name a line, in label order. Blank lines and lines that begin with # are skipped.
func ReadClasses(r io.Reader) ([]string, error) {
	var classes []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if slices.Contains(classes, line) {
			return nil, fmt.Errorf("class %q is listed twice", line)
		}
		classes = append(classes, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the class list: %w", err)
	}
	if len(classes) == 0 {
		return nil, errors.New("the class list is empty")
	}
	return classes, nil
}

// images counts the images of each class of the source.
func (p *packer) images() map[string]int {
	images := map[string]int{}
	for i := range p.items {
		if class := p.items[i].Class; class != "" {
			images[class]++
		}
	}
	return images
}

// chooseClasses settles which class has which label.
func (p *packer) chooseClasses(own []string) ([]string, error) {
	images := p.images()
	classes := p.options.Classes
	switch {
	case len(classes) > 0:
		for _, class := range classes {
			if images[class] == 0 {
				return nil, fmt.Errorf("%w: class %q is listed, but the source has no image of it", storage.ErrUnfit, class)
			}
		}
	case own != nil:
		classes = own
	default:
		classes = []string{}
		for class := range images {
			classes = append(classes, class)
		}
		slices.Sort(classes)
	}
	p.labels = make(map[string]int32, len(classes))
	for i, class := range classes {
		p.labels[class] = int32(i)
	}
	return classes, nil
}
