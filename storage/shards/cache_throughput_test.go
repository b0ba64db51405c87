package shards_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/cijepa/cijepa/storage/shards"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// noise is a pack.Source of incompressible images of one size that cost no time to make.
type noise struct {
	block          []byte
	images, length int
}

func (n noise) List(context.Context) (pack.Listing, error) {
	var listing pack.Listing
	for i := range n.images {
		listing.Items = append(listing.Items, pack.Item{Split: "train", Name: fmt.Sprint(i), Class: "noise", Ext: "jpg"})
	}
	return listing, nil
}

func (n noise) Read(i int, buf []byte) ([]byte, error) {
	at := i * 104_729 % (len(n.block) - n.length)
	return append(buf, n.block[at:at+n.length]...), nil
}

func (n noise) Close() error { return nil }

// A gigabyte of shards as large as ImageNet's is read through an empty cache, compared with rclone
// on the same server.
func TestCacheThroughput(t *testing.T) {
	if storagetest.Long() == 0 {
		t.Skip("only with CIJEPA_TEST_LONG")
	}
	source := noise{images: 10_000, length: 110_000}
	for random := rand.New(rand.NewPCG(1, 2)); len(source.block) < 64<<20; {
		source.block = append(source.block, byte(random.Uint32()))
	}
	const gigabytes = 1.1
	// While others use the machine, the processor time of this process says more than the clock.
	rate := func(act func()) string {
		start, used := time.Now(), processorTime(t)
		act()
		return fmt.Sprintf("%.2f GB/s, %.2f processor seconds per GB", gigabytes/time.Since(start).Seconds(),
			(processorTime(t)-used).Seconds()/gigabytes)
	}
	pull := func(b *storage.Bucket) {
		d, err := shards.OpenDataset(t.Context(), b, "d")
		if err != nil {
			t.Fatal(err)
		}
		c, err := shards.NewCache(d, t.TempDir(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Split("train")
		if err != nil {
			t.Fatal(err)
		}
		var all []int
		for i := range s.Samples() {
			all = append(all, i)
		}
		s.Ahead(all)
		sum := byte(0)
		for i, n := range s.Samples() {
			for j := range n {
				err := s.View(t.Context(), i, j, func(_ string, _ int, image []byte) error {
					for at := 0; at < len(image); at += 512 {
						sum += image[at]
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("file", func(t *testing.T) {
		b := storagetest.Open(t, "file://"+t.TempDir(), storage.Options{})
		t.Logf("pack: %s", rate(func() { mustPack(t, source, b) }))
		for range 3 {
			t.Logf("pull: %s", rate(func() { pull(b) }))
		}
	})
	t.Run("versitygw", func(t *testing.T) {
		server := storagetest.Start(t, storagetest.S3, "")
		b := storagetest.Open(t, server.URL(), storage.Options{})
		t.Logf("pack: %s", rate(func() { mustPack(t, source, b) }))
		for range 3 {
			t.Logf("pull: %s", rate(func() { pull(b) }))
			t.Logf("rclone: %s", rate(func() { rclone(t, server.URL(), t.TempDir()) }))
		}
	})
}

func mustPack(t *testing.T, source pack.Source, b *storage.Bucket) {
	t.Helper()
	if _, _, err := pack.Pack(t.Context(), source, b, "d", pack.PackOptions{TempDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
}

func processorTime(t *testing.T) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// rclone copies the dataset with as many transfers as the cache has fetchers.
func rclone(t *testing.T, bucket, dir string) {
	t.Helper()
	binary, err := exec.LookPath("rclone")
	if err != nil {
		t.Skip("rclone is not installed")
	}
	u, err := url.Parse(bucket)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "copy", "--transfers", fmt.Sprint(shards.Fetchers),
		"--s3-provider", "Other", "--s3-env-auth",
		"--s3-endpoint", u.Query().Get("endpoint"), "--s3-region", "us-east-1", ":s3:"+u.Host+"/d", dir)
	// A bundle of certificates, which this rclone cannot load, is of no use to plain HTTP.
	cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}
