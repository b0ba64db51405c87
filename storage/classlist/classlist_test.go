package classlist

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The post's list is recognised by the hash that other projects state, in any order.
func TestListsAreRecognisedByTheirHash(t *testing.T) {
	for _, name := range Names() {
		classes, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(classes)
		if got := Recognise(classes); got != name {
			t.Errorf("%s is recognised as %q", name, got)
		}
		if got := Recognise(classes[1:]); got != "" {
			t.Errorf("%s without a class is recognised as %q", name, got)
		}
	}
	sum := hash(list(Post))
	if got := hex.EncodeToString(sum[:]); got != "5ee5db69d488bb799a286d8e181801c3d02798776c1ce9203e5450f64e086e07" {
		t.Errorf("the hash of the post's list is %s", got)
	}
	if first := list(Post)[0]; first != "n02869837" {
		t.Errorf("the post's list begins with %s", first)
	}
}

func TestListsAreDescribed(t *testing.T) {
	for name, want := range map[string]string{
		Post:                  "ImageNet-100 (CMC), the post's",
		"imagenet-100-kaggle": "Kaggle's ImageNet-100: 8 of 100 classes in common with the post's",
		"imagenette":          "Imagenette: 0 of 10 classes in common with the post's",
		"imagenet-1k":         "ImageNet-1k: 100 of 1000 classes in common with the post's",
	} {
		if got := Describe(list(name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := Describe([]string{"cat", "dog"}); got != "" {
		t.Errorf("no list: %q", got)
	}
}

func TestReadingAListOfClasses(t *testing.T) {
	for _, c := range []struct{ text, want, fault string }{
		{"\ufeffcat\r\n# a note\r\n\r\n dog \r\n", "cat dog", ""},
		{"cat\ncat\n", "", `class "cat" is listed twice`},
		{"# none\n", "", "the class list is empty"},
	} {
		got, err := Read(strings.NewReader(c.text))
		if strings.Join(got, " ") != c.want || (err == nil) != (c.fault == "") || err != nil && err.Error() != c.fault {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "imagenet-100-kaggle") {
		t.Errorf("a file that is not there: %v", err)
	}
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte("b\na"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(file); err != nil || !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("%v, %v", got, err)
	}
}
