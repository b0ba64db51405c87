// Package classlist knows the class lists that have names: ImageNet-100 in the two selections that
// go by that name, Imagenette, and ImageNet-1k in the order of its class numbers. A list is
// recognised by the SHA-256 of its sorted lines. The package refuses to know images.
//
//	classlist.go               names, files and recognition
//	imagenet-100.txt           the 100 synsets of CMC (Tian et al.), in the order of its file
//	imagenet-100-kaggle.txt    the 100 synsets of Kaggle's "imagenet100"
//	imagenet-1k.txt            the 1,000 synsets of ILSVRC2012, sorted: the order of its class numbers
//	imagenette.txt             the 10 synsets of Imagenette
package classlist

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

//go:embed *.txt
var lists embed.FS

// Post is the list of the ImageNet-100 that the post measures on.
const Post = "imagenet-100"

// known are the lists with a name, in the order in which they are shown, and what a person calls
// them.
var known = []struct{ name, title string }{
	{Post, "ImageNet-100 (CMC), the post's"},
	{"imagenet-100-kaggle", "Kaggle's ImageNet-100"},
	{"imagenette", "Imagenette"},
	{"imagenet-1k", "ImageNet-1k"},
}

// Names are the names that Open takes beside files.
func Names() []string {
	var names []string
	for _, list := range known {
		names = append(names, list.name)
	}
	return names
}

// Open gives the classes of the list of this name, or of a file: one class a line, in label order.
func Open(name string) ([]string, error) {
	if slices.Contains(Names(), name) {
		return list(name), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w; the lists that need no file are %s", err, strings.Join(Names(), ", "))
	}
	defer file.Close()
	return Read(file)
}

// list reads a list of this package, which cannot fail.
func list(name string) []string {
	data, err := lists.ReadFile(name + ".txt")
	if err != nil {
		panic(err)
	}
	return strings.Fields(string(data))
}

// Read reads a class file: one class name a line, in label order. Blank lines and lines that begin
// with # are skipped, and so is a byte order mark.
func Read(r io.Reader) ([]string, error) {
	var classes []string
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if seen[line] {
			return nil, fmt.Errorf("class %q is listed twice", line)
		}
		seen[line] = true
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

// Recognise gives the name of the list that has these classes in any order; "" for none.
func Recognise(classes []string) string {
	sum := hash(classes)
	for _, k := range known {
		if hash(list(k.name)) == sum {
			return k.name
		}
	}
	return ""
}

// Describe says in words which list the classes are, and what that means for a comparison with the
// post; "" for a list without a name.
func Describe(classes []string) string {
	name := Recognise(classes)
	if name == "" {
		return ""
	}
	title := ""
	for _, k := range known {
		if k.name == name {
			title = k.title
		}
	}
	if name == Post {
		return title
	}
	common := 0
	for _, class := range list(Post) {
		if slices.Contains(classes, class) {
			common++
		}
	}
	return fmt.Sprintf("%s: %d of %d classes in common with the post's", title, common, len(classes))
}

// hash is the SHA-256 of the sorted list, one class a line.
func hash(classes []string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(classes)), "\n") + "\n"))
}
