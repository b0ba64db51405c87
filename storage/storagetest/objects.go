package storagetest

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cijepa/cijepa/storage"
)

// RandomBytes returns n bytes that cannot be compressed, the same ones for the same n.
func RandomBytes(n int) []byte {
	data := make([]byte, n)
	random := rand.New(rand.NewPCG(uint64(n), 0))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// PutAll writes objects, given by key.
func PutAll(t testing.TB, b *storage.Bucket, objects map[string]string) {
	t.Helper()
	for key, data := range objects {
		if _, err := b.PutBytes(context.Background(), key, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
}

// Snapshot returns every object of a bucket by key.
func Snapshot(t testing.TB, b *storage.Bucket) map[string]string {
	t.Helper()
	keys, err := b.List(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, key := range keys {
		data, err := b.Get(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = string(data)
	}
	return all
}

// ReadAll reads an object whole, with its checksum checked.
func ReadAll(t testing.TB, b *storage.Bucket, o storage.Object) ([]byte, error) {
	r, err := b.Read(context.Background(), o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// FileNames returns the names in a folder, in order.
func FileNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
