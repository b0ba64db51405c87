package machine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/shards"
)

// OpenCache opens the shard cache and checks that it has room for a window of each split. A folder
// that cannot be written and a limit that is too small are *settings.Error.
func OpenCache(c settings.Config, data *shards.Dataset, log *slog.Logger) (*shards.Cache, error) {
	if !data.InPlace() {
		if err := makeWritable(c.CacheDir); err != nil {
			return nil, settings.NewError("CacheDir", c.CacheDir,
				fmt.Sprintf("%v; choose a folder on a local disk that this process may write to", err))
		}
	}
	cache, err := shards.NewCache(data, c.CacheDir, int64(c.CacheSize), log)
	if err != nil {
		return nil, settings.NewError("CacheSize", c.CacheSize, err.Error())
	}
	for _, name := range []string{TrainSplit, ValidationSplit} {
		split, err := cache.Split(name)
		if err != nil {
			return nil, errors.Join(err, cache.Close())
		}
		if err := split.Require(c.Window); err != nil {
			return nil, errors.Join(settings.NewError("CacheSize", c.CacheSize, err.Error()), cache.Close())
		}
	}
	return cache, nil
}

// makeWritable makes a folder unless it exists, and checks that files can be made in it.
func makeWritable(folder string) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("cannot be made: %w", err)
	}
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("cannot be written: %w", err)
	}
	return nil
}
