package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"gocloud.dev/blob"
)

// recorder notes what a Store complains about instead of failing.
type recorder struct {
	testing.TB
	complaints []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func manifestText(sequence int, previous, folder, object string, content []byte) []byte {
	return fmt.Appendf(nil, `{"manifest":{"sequence":%d,"previous":%q,"folder":%q,"objects":[{"key":%q,"size":%d,"sha256":%q}]}}`,
		sequence, previous, folder, object, len(content), hexSum(content))
}

// The store finds each broken rule, and nothing in a run that keeps them.
func TestStoreWatchesTheRules(t *testing.T) {
	content := []byte("weights")
	first := manifestText(1, "", "state/a", "student", content)
	second := manifestText(2, hexSum(first), "state/b", "student", content)
	const one, two, part = "runs/x/manifest/000000000001.json", "runs/x/manifest/000000000002.json",
		"runs/x/state/a/student"
	for name, test := range map[string]struct {
		want string // in the only complaint; empty: none
		act  func(put func(key string, data []byte), remove func(key string))
	}{
		"all is well": {"", func(put func(string, []byte), remove func(string)) {
			put("runs/x/state/b/student", content)
			put(two, second)
			remove(part) // no longer retained
		}},
		"committed object rewritten": {"was rewritten", func(put func(string, []byte),
			_ func(string)) {
			put(part, content)
		}},
		"retained object deleted": {"retains it", func(_ func(string, []byte), remove func(string)) { remove(part) }},
		"manifest replaced":       {"was replaced", func(put func(string, []byte), _ func(string)) { put(one, first) }},
		"manifest deleted":        {"was deleted", func(_ func(string, []byte), remove func(string)) { remove(one) }},
		"data after the manifest": {"not there as it says",
			func(put func(string, []byte), _ func(string)) { put(two, second) }},
		"other data than named": {"not there as it says", func(put func(string, []byte), _ func(string)) {
			put("runs/x/state/b/student", []byte("torn"))
			put(two, second)
		}},
		"broken chain": {"another manifest than the one before", func(put func(string, []byte), _ func(string)) {
			put("runs/x/state/b/student", content)
			put(two, manifestText(2, hexSum(nil), "state/b", "student", content))
		}},
		"gap in the chain": {"before the one before it", func(put func(string, []byte), _ func(string)) {
			put("runs/x/state/b/student", content)
			put("runs/x/manifest/000000000003.json", manifestText(3, hexSum(first), "state/b", "student", content))
		}},
		"wrong number": {"has sequence 3", func(put func(string, []byte), _ func(string)) {
			put("runs/x/state/b/student", content)
			put(two, bytes.Replace(second, []byte(`"sequence":2`), []byte(`"sequence":3`), 1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			recorded := &recorder{TB: t}
			b := NewStore(recorded).driver()
			defer b.Close()
			put := func(key string, data []byte) {
				if err := b.Upload(t.Context(), key, bytes.NewReader(data),
					&blob.WriterOptions{ContentType: "text/plain"}); err != nil {
					t.Fatal(err)
				}
			}
			put(part, content)
			put(one, first)
			test.act(put, func(key string) {
				if err := b.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			})
			got := strings.Join(recorded.complaints, "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("complaints: %q, want one with %q", got, test.want)
			}
		})
	}
}

// WriteAll and NewWriter are found, and a writer that is closed after a failure commits, as with
// the real drivers, unless it was cancelled.
func TestStoreBehavesAsBadlyAsADriver(t *testing.T) {
	recorded := &recorder{TB: t}
	store := NewStore(recorded)
	b := store.driver()
	defer b.Close()
	if err := b.WriteAll(t.Context(), "x", []byte("1"), nil); err != nil || len(recorded.complaints) == 0 {
		t.Errorf("WriteAll: %v, complaints %q", err, recorded.complaints)
	}
	for _, cancelled := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		key := fmt.Sprintf("torn-%t", cancelled)
		source := &failingAfter{bytes.NewReader([]byte("half")), func() {
			if cancelled {
				cancel()
			}
		}}
		if err := b.Upload(ctx, key, source, &blob.WriterOptions{ContentType: "text/plain"}); err == nil {
			t.Error("a failed source was not reported")
		}
		if _, stored := store.Objects()[key]; stored == cancelled {
			t.Errorf("cancelled %t, stored %t", cancelled, stored)
		}
		cancel()
	}
}

// failingAfter gives its bytes and then an error.
type failingAfter struct {
	r    *bytes.Reader
	then func()
}

func (f *failingAfter) Read(p []byte) (int, error) {
	if f.r.Len() > 0 {
		return f.r.Read(p)
	}
	f.then()
	return 0, errConnection
}
