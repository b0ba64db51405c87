package storage_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// A file:// bucket with a prefix stays below the prefix.
func TestFileBucketStaysBelowItsPrefix(t *testing.T) {
	dir := t.TempDir()
	b := storagetest.Open(t, "file://"+dir+"?prefix=team/", quick(t))
	if _, err := b.Create(t.Context(), "made/by/create", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutBytes(t.Context(), "made/by/put", []byte("2")); err != nil {
		t.Fatal(err)
	}
	keys, err := b.List(t.Context(), "made/")
	if err != nil || !slices.Equal(keys, []string{"made/by/create", "made/by/put"}) {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "team", "made", "by", "create")); err != nil {
		t.Error(err)
	}
}
