package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// Each row is a mistyped URL and what the error says about it.
func TestOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o666)
	for url, want := range map[string]string{
		"":                            "no bucket URL",
		"some/dir":                    "write file:///",
		"S4://bucket":                 `unknown scheme "s4"`,
		"file://home/me/runs":         "write file:///home/me/runs",
		"file://":                     "names no directory",
		"mem://x/a/path":              "write mem://x?prefix=a/path/",
		"file://" + file:              "is a file",
		"file://" + dir + "?prefix=a": "write prefix=a/",
		"mem://?prefix=a":             "write prefix=a/",
		"mem://?prefix=a/../../b/":    "out of the bucket",
		"mem://x#y":                   "behind #",
		"file://" + dir + "?tmp=1":    `"tmp"`,
		"file:///proc/no/such/dir":    "choose a directory",
	} {
		b, err := storage.Open(t.Context(), url, quick(t))
		if err == nil {
			b.Close()
			t.Errorf("%q was opened", url)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant: %s", url, err, want)
		}
	}
	_, err := storage.Open(t.Context(), "nope://user:hunter2@b?token=hunter3", quick(t))
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("a secret is in the message: %v", err)
	}
}

// An S3 bucket without a region, or with an invalid one, is refused at once, and not as
// unreachable.
func TestS3WithoutARegionIsRefusedAtOnce(t *testing.T) {
	for name, value := range map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	for url, want := range map[string]string{
		"s3://bucket": "s3://NAME?region=",
		"s3://bucket?endpoint=http://127.0.0.1:1&use_path_style=true": "set AWS_REGION",
		"s3://bucket?region=us%20east%201":                            `"us east 1" is no region`,
	} {
		b, err := storage.Open(t.Context(), url, storage.Options{RetryTimeout: time.Minute})
		if err == nil {
			b.Close()
		}
		if err == nil || errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrDenied) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A file:// bucket that must exist is not made, and FolderCleanup removes the folders that Check
// has made.
func TestCheckLeavesNoFolders(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "a", "b")
	o := quick(t)
	o.MustExist = true
	b, err := storage.Open(t.Context(), "file://"+missing, o)
	if err == nil {
		b.Close()
	}
	if !errors.Is(err, storage.ErrNoFolder) || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing folder: %v", err)
	}
	b = storagetest.Open(t, "file://"+dir, o)
	remove := b.FolderCleanup("runs/r/")
	if err := b.Check(t.Context(), "runs/r/"); err != nil {
		t.Fatal(err)
	}
	b.PutBytes(t.Context(), "runs/other", nil)
	if remove(); !slices.Equal(storagetest.FileNames(t, dir), []string{"runs"}) ||
		!slices.Equal(storagetest.FileNames(t, filepath.Join(dir, "runs")), []string{"other"}) {
		t.Errorf("left: %v, %v", storagetest.FileNames(t, dir), storagetest.FileNames(t, filepath.Join(dir, "runs")))
	}
	b.Delete(t.Context(), "runs/other")
	if remove(); len(storagetest.FileNames(t, dir)) > 0 {
		t.Errorf("left: %v", storagetest.FileNames(t, dir))
	}
}
